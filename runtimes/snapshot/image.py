"""Adds the manager to the image: compiled static by the host's gcc, or else in the toolchain root."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.build.debian import Root, copy_in, copy_out, hook, mmdebstrap
from bench.build.kernel import TOOLCHAIN_TAR, toolchain_step
from bench.build.step import Work, ensure
from bench.errors import BenchError

SOURCES = Path(__file__).parent / "src"
FLAGS = ("-O2", "-static", "-std=gnu11", "-Wall", "-Wextra", "-Werror")
BINARY = "snapshotter"


def fill(work: Work, target: Path) -> None:
    """Put the static binary `snapshotter` beside launcher.py."""
    shutil.rmtree(target / "src", ignore_errors=True)
    sources = sorted(str(path) for path in SOURCES.glob("*.c"))
    try:
        work.run(["gcc", *FLAGS, "-o", str(target / BINARY), *sources])
    except BenchError:  # no compiler, or one without a static C library
        _in_toolchain(work, target / BINARY)
    (target / BINARY).chmod(0o755)


def _in_toolchain(work: Work, binary: Path) -> None:
    toolchain = ensure(toolchain_step()).file(TOOLCHAIN_TAR)
    files = sorted(path for path in SOURCES.iterdir() if path.suffix in (".c", ".h"))
    compiled = f"chroot \"$1\" sh -c 'cd /src && gcc {' '.join(FLAGS)} -o /{BINARY} *.c'"
    options = [
        "--skip=update,setup,cleanup,tar-in/mknod",
        f"--setup-hook=tar-in {toolchain} /",
        hook('mkdir "$1/src"'),
        *(copy_in(path, f"/src/{path.name}") for path in files),
        hook(compiled),
        copy_out(f"/{BINARY}", binary),
    ]
    mmdebstrap(work, Root("custom"), "/dev/null", extra=options)
