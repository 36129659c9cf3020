"""Static C programs for images: compiled by the host's gcc, or else in the toolchain root."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.build.debian import Root, copy_in, copy_out, hook, mmdebstrap
from bench.build.kernel import TOOLCHAIN_TAR, toolchain_step
from bench.build.step import Work, ensure
from bench.errors import BenchError

FLAGS = ("-O2", "-static", "-std=gnu11", "-Wall", "-Wextra", "-Werror")


def static_program(work: Work, sources: Sequence[Path], target: Path) -> None:
    """Compile `sources` (.c, and the .h beside them that they need) to the executable `target`."""
    compiled = sorted(str(path) for path in sources if path.suffix == ".c")
    try:
        work.run(["gcc", *FLAGS, "-o", str(target), *compiled])
    except BenchError:  # no compiler, or one without a static C library
        _in_toolchain(work, sources, target)
    target.chmod(0o755)


def _in_toolchain(work: Work, sources: Sequence[Path], target: Path) -> None:
    toolchain = ensure(toolchain_step()).file(TOOLCHAIN_TAR)
    compiled = f"chroot \"$1\" sh -c 'cd /src && gcc {' '.join(FLAGS)} -o /program *.c'"
    options = [
        "--skip=update,setup,cleanup,tar-in/mknod",
        f"--setup-hook=tar-in {toolchain} /",
        hook('mkdir "$1/src"'),
        *(copy_in(path, f"/src/{path.name}") for path in sorted(sources)),
        hook(compiled),
        copy_out("/program", target),
    ]
    mmdebstrap(work, Root("custom"), "/dev/null", extra=options)
