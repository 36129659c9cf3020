"""What a full run has beside pieces of self-tests.

Each patch compiled and checked, the kernel's own memory tests and hooked paths beside a kernel without the
series, what a checkpoint and a rewind cost, soaks of real programs, and mutants.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from bench.build.digest import digest_of
from bench.build.kernel import Kernel, Variant, kernel_step
from bench.build.step import ensure
from bench.kernel import checkpatch, cost_limits, each, idle, mmtests, mutants, soak, suite
from bench.kernel.suite import Verdict
from bench.progress import Progress


def verdicts(seed: int, progress: Progress) -> Iterator[Verdict]:
    """All of it; what an earlier run found good is not done again. Raises the errors of builds and boots."""
    yield _each_patch(seed, progress)
    yield _checkpatch(seed, progress)
    yield from _memory_tests("release", "mm", seed, progress)
    # With the facility left out, the hooks of faults, copies and mappings that move are nothing.
    yield from _memory_tests("norewind", "mm-norewind", seed, progress)
    yield _idle_paths(seed, progress)
    yield _cost(seed, progress)
    yield from _soaks(seed, progress)
    folder = suite.folder_of(kernel_step("release"), seed)
    for mutant in mutants.all_mutants():
        yield mutants.run(mutant, folder / mutant.name, progress)


def _each_patch(seed: int, progress: Progress) -> Verdict:
    where = suite.folder_of(kernel_step("release"), seed) / "each-patch"
    with progress.stage("compile after each patch"):
        return suite.once(where, each.key_of(), functools.partial(each.verdict, where))


def _checkpatch(seed: int, progress: Progress) -> Verdict:
    where = suite.folder_of(kernel_step("release"), seed) / checkpatch.NAME
    with progress.stage("check each patch"):
        key = checkpatch.checkpatch_step().digest
        return suite.once(where, key, functools.partial(checkpatch.verdict, where))


def _memory_tests(variant: Variant, name: str, seed: int, progress: Progress) -> Iterator[Verdict]:
    """The kernel's own tests on a variant, by category, beside a kernel without the series."""
    with progress.stage("build the kernel's own memory tests"):
        ensure(mmtests.programs_step())
    without, image, folder = _pair(name, variant, mmtests.CONFIG, seed, progress)
    with progress.stage(f"the kernel's own memory tests, {variant}"):
        for category in mmtests.CATEGORIES:
            own = folder / f"{name}-{category}"
            judge = functools.partial(mmtests.compare, without, image, category, own)
            yield suite.once(own, mmtests.key_of(category), judge)


def _idle_paths(seed: int, progress: Progress) -> Verdict:
    bare, hooked, folder = _pair("idle", "release", idle.CONFIG, seed, progress)
    where = folder / "idle-paths"
    key = digest_of([str(idle.LIMIT), str(idle.LIFE_LIMIT), list(idle.LIVES)])
    with progress.stage("hooked paths without a checkpoint"):
        return suite.once(where, key, functools.partial(idle.verdict, bare, hooked, where))


def _cost(seed: int, progress: Progress) -> Verdict:
    release = kernel_step("release")
    where = suite.folder_of(release, seed) / cost_limits.NAME
    limits = cost_limits.load()
    with progress.stage("cost of a checkpoint and a rewind"):
        image = Kernel(ensure(release)).image
        judge = functools.partial(cost_limits.verdict, image, where, limits, progress)
        return suite.once(where, cost_limits.key_of(limits), judge)


def _pair(name: str, variant: Variant, config: str, seed: int, progress: Progress) -> tuple[Path, Path, Path]:
    """Two kernels (bzImage) with `config`, without the series and `variant`, and the folder of their logs."""
    patched = kernel_step(variant, extra_config=config)
    with progress.stage(f"build two kernels for {name}"):
        unpatched = Kernel(ensure(kernel_step("unpatched", extra_config=config))).image
        return unpatched, Kernel(ensure(patched)).image, suite.folder_of(patched, seed)


def _soaks(seed: int, progress: Progress) -> Iterator[Verdict]:
    release = kernel_step("release")
    soaks = [("numpy", flags) for flags in suite.ABLATIONS.values()]
    soaks += [(program, 0) for program in soak.PROGRAMS if program != "numpy"]
    for program, flags in soaks:
        with progress.stage(f"soak of {program}, flags {flags:#x}"):
            image = Kernel(ensure(release)).image
            yield soak.run_once(image, suite.folder_of(release, seed), program=program, flags=flags)
