"""The soak: CPython with numpy on a threaded BLAS, a thousand generations, every answer compared."""

from __future__ import annotations

from pathlib import Path

from bench.kernel import cost, selftests, splat, suite, tap
from bench.kernel.boot import Options, boot

GENERATIONS = 1000
BLAS_THREADS = 4
MEMORY_MB = 2048


def run(
    kernel: Path,
    folder: Path,
    *,
    generations: int = GENERATIONS,
    flags: int = 0,
    limit_s: float = 5400.0,
) -> suite.Verdict:
    """Boot once and soak; logs and verdict are left in `folder`."""
    command = f"{cost.python_command(BLAS_THREADS)} /bench/soak.py {generations} {flags:#x}"
    initramfs = cost.python_initramfs(folder / "work", "soak.py", [command])
    done = boot(kernel, initramfs, folder, Options(memory_mb=MEMORY_MB), limit_s=limit_s)
    initramfs.unlink()
    results = tap.parse(done.results.splitlines())
    report = selftests.Report(results, splat.find_splats(done.console), done)
    verdict = suite.verdict_of(name_of(generations, flags), report)
    suite.write_verdict(verdict, folder)
    return verdict


def run_once(kernel: Path, folder: Path, *, generations: int = GENERATIONS, flags: int = 0) -> suite.Verdict:
    """The verdict that an earlier soak left under `folder`, or that of a new one."""
    own = folder / name_of(generations, flags)
    return suite.read_verdict(own) or run(kernel, own, generations=generations, flags=flags)


def name_of(generations: int, flags: int) -> str:
    """What a soak is called."""
    return f"soak-{generations}-{flags:#x}"
