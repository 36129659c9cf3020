"""The soak: real programs on pools of threads, a thousand generations each, every answer compared."""

from __future__ import annotations

from pathlib import Path

from bench.build.step import ensure
from bench.kernel import cost, selftests, splat, suite, tap
from bench.kernel.boot import Options, boot
from bench.kernel.soak_tree import SITE, SITE_TAR, soak_tree_step

GENERATIONS = 1000
THREADS = 4
MEMORY_MB = 4096
#: QEMU 7.2 emulates AVX with faults that crash numpy's wheel, with or without a checkpoint.
SSE_ONLY = "NPY_DISABLE_CPU_FEATURES=X86_V3,X86_V4,AVX2,FMA3,AVX512_SKX"
SCRIPTS = ("soak.py", "soak_programs.py")
#: Debian's numpy, and what PyPI offers beside it (kernel/bench/soak_programs.py).
PROGRAMS = ("numpy", "sklearn", "opencv", "igraph")


def run(
    kernel: Path,
    folder: Path,
    *,
    program: str = "numpy",
    generations: int = GENERATIONS,
    flags: int = 0,
    limit_s: float = 5400.0,
) -> suite.Verdict:
    """Boot once and soak; logs are left in `folder`. Errors of builds and of QEMU are raised."""
    settings = f"PYTHONPATH=/{SITE} {SSE_ONLY} " if program != "numpy" else ""
    command = f"{settings}{cost.python_command(THREADS)} /bench/soak.py {program} {generations} {flags:#x}"
    trees = [ensure(soak_tree_step()).file(SITE_TAR)] if program != "numpy" else []
    initramfs = cost.python_initramfs(folder / "work", SCRIPTS, [command], trees=trees)
    done = boot(kernel, initramfs, folder, Options(memory_mb=MEMORY_MB), limit_s=limit_s)
    initramfs.unlink()
    results = tap.parse(done.results.splitlines())
    report = selftests.Report(results, splat.find_splats(done.console), done, (command,))
    return suite.verdict_of(name_of(program, generations, flags), report)


def run_once(
    kernel: Path, folder: Path, *, program: str = "numpy", generations: int = GENERATIONS, flags: int = 0
) -> suite.Verdict:
    """The verdict that an earlier soak left under `folder`, or that of a new one."""
    own = folder / name_of(program, generations, flags)
    key = f"{THREADS} {MEMORY_MB} {SSE_ONLY}"
    return suite.once(
        own, key, lambda: run(kernel, own, program=program, generations=generations, flags=flags)
    )


def name_of(program: str, generations: int, flags: int) -> str:
    """What a soak is called."""
    return f"soak-{program}-{generations}-{flags:#x}"
