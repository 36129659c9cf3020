"""What the series costs who takes no checkpoint: the hooked paths on a kernel without it and with it.

Under the instruction clock a difference of one nanosecond is one instruction more. Both kernels have jump
labels, as any distribution's: a test of a static key that is off is then one no-op.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import process
from bench.errors import KernelError, KernelPanicError, RunIncompleteError
from bench.kernel import selftests, splat, suite, tap
from bench.kernel.boot import Boot, Ending, Options, boot
from bench.paths import KERNEL

SOURCE = KERNEL / "bench" / "idle.c"
#: Safe with the one processor of the instruction clock; configs/base.config says why others go without.
CONFIG = "CONFIG_JUMP_LABEL=y\n"
#: Instructions that one fault, call or page may take more.
LIMIT = 5.0
#: A life is made of a hundred of them, and differs from boot to boot by how it is scheduled: part of it.
LIFE_LIMIT = 0.01
LIVES = ("fork, exit, wait", "vfork, exec, exit, wait", "thread, start to join")
LIMIT_S = 300.0
COMPILE_S = 60.0


@dataclass(frozen=True)
class HookedPath:
    """One path; nanoseconds an operation without the series and with it."""

    kind: str
    without: float
    patched: float

    @property
    def more(self) -> float:
        """Instructions that the series adds."""
        return self.patched - self.without

    @property
    def limit(self) -> float:
        """Instructions that it may add."""
        return LIFE_LIMIT * self.without if self.kind in LIVES else LIMIT

    def __str__(self) -> str:
        return f"{self.kind}: {self.without:.1f} without the series, {self.more:+.1f} with it"


def measure(kernel: Path, folder: Path) -> dict[str, float]:
    """Path -> nanoseconds an operation, on one kernel (bzImage). Raises what `figures` raises."""
    selftests.compile_programs((), folder)
    program = folder / "idle"
    argv = ["gcc", "-O2", "-static", "-pthread", "-o", str(program), str(SOURCE)]
    process.run(argv, timeout_s=COMPILE_S)
    archive = selftests.with_init(folder, ["/bench/idle"])
    archive.file("/bench/idle", program.read_bytes(), 0o755)
    initramfs = archive.write(folder / "idle.cpio")
    options = Options(memory_mb=512, cpus=1, clock="instructions", cmdline="quiet")
    return figures(boot(kernel, initramfs, folder, options, limit_s=LIMIT_S))


def figures(done: Boot) -> dict[str, float]:
    """What a boot measured.

    Raises KernelPanicError when it ended in trouble, RunIncompleteError when the program did not come to
    its own good end or measured nothing.
    """
    splats = splat.find_splats(done.console)
    if done.ending is Ending.DIED or splats:
        words = "; ".join(map(str, splats)) or "it panicked"
        raise KernelPanicError(f"the kernel did not come through its idle paths: {words}")
    if done.ending is not Ending.POWERED_OFF or tap.ALL_ENDED not in done.results.splitlines():
        raise RunIncompleteError("the boot did not come to its end")
    if "# program ends: status 0 signal 0 " not in done.results:
        raise RunIncompleteError("the program failed")
    lines = [json.loads(line) for line in done.results.splitlines() if line.startswith("{")]
    if not lines:
        raise RunIncompleteError("nothing was measured")
    return {line["kind"]: line["ns"] for line in lines}


def compare(without: Mapping[str, float], patched: Mapping[str, float]) -> list[HookedPath]:
    """Both kernels' figures side by side, where both have one."""
    return [HookedPath(kind, ns, patched[kind]) for kind, ns in without.items() if kind in patched]


def verdict(unpatched: Path, patched: Path, folder: Path) -> suite.Verdict:
    """Measure both; `paths.txt` in `folder` lists all of them. A boot that fails is a problem too."""
    measured, problems = [], []
    for name, kernel in (("without", unpatched), ("with", patched)):
        try:
            measured.append(measure(kernel, folder / name))
        except (KernelError, RunIncompleteError) as error:
            problems.append(f"{name} the series: {error.message} (log: {folder / name})")
    if problems:
        return suite.Verdict("idle-paths", tuple(problems), 0, (), 0.0)
    without, patched_ns = measured
    paths = compare(without, patched_ns)
    (folder / "paths.txt").write_text("".join(f"{path}\n" for path in paths))
    slow = [str(path) for path in paths if path.more > path.limit]
    alone = [f"{kind}: on one kernel only" for kind in sorted(without.keys() ^ patched_ns.keys())]
    return suite.Verdict("idle-paths", (*slow, *alone), len(paths) - len(slow), (), 0.0)
