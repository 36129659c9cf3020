"""Compare two kernels: cost under the instruction clock, and a slice of the self-tests.

A kernel is named by a path: a folder of patches, a kernel tree, or a built bzImage.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from bench.build.kernel import Kernel, kernel_step, series_of
from bench.build.step import ensure
from bench.errors import ConfigError, KernelError
from bench.kernel import cost, suite
from bench.kernel.fit import Summary, summarise
from bench.kernel.suite import Piece, Verdict
from bench.kernel.thresholds import Thresholds
from bench.paths import KERNEL
from bench.progress import Progress

#: The axes that a comparison measures.
AXES = ("baselines", "dirty", "mapped", "regions", "threads", "descriptors", "requests")
SELFTEST_LIMIT_S = 1800.0


class RegressionError(KernelError):
    """The new kernel is worse than the old one."""

    exit_status = 32


@dataclass(frozen=True)
class Change:
    """One figure on both kernels."""

    figure: str
    old: float | None
    new: float | None
    worse: bool

    @property
    def relative(self) -> float | None:
        """Growth as a fraction of the old value."""
        if self.old is None or self.new is None or self.old == 0:
            return None
        return (self.new - self.old) / self.old


@dataclass(frozen=True)
class Comparison:
    """Everything a comparison found."""

    old: str
    new: str
    changes: tuple[Change, ...]
    #: Failures of the new kernel's self-tests, panics and splats included.
    problems: tuple[str, ...]
    passed: int
    #: What the new kernel refused while its cost was measured: the figures that are left say less.
    refused: tuple[str, ...] = ()
    #: The same of the old kernel, which is no fault of the new one.
    refused_before: tuple[str, ...] = ()

    @property
    def not_measured(self) -> list[str]:
        """Figures that neither kernel has."""
        return [change.figure for change in self.changes if change.old is None and change.new is None]

    @property
    def regressions(self) -> list[str]:
        """All reasons to fail, one line each; empty when the new kernel is no worse."""
        lines = [
            f"{change.figure}: {change.old:.1f} to {change.new:.1f} ({change.relative or 0:+.1%})"
            if change.old is not None and change.new is not None
            else f"{change.figure}: not measured on the new kernel"
            for change in self.changes
            if change.worse
        ]
        if not any(change.old is not None and change.new is not None for change in self.changes):
            lines.append("no figure was measured on both kernels")
        lines += [f"cost: {line}" for line in self.refused]
        return [*lines, *(f"self-test: {problem}" for problem in self.problems)]


def image_of(path: Path) -> Path:
    """The bzImage of a kernel: a file as it is, a patch folder or a kernel tree built.

    Raises ConfigError for anything else, and the errors of a build.
    """
    if path.is_file():
        return path
    if path.is_dir() and series_of(path):
        return Kernel(ensure(kernel_step("release", patches=path.resolve()))).image
    if (path / "Kconfig").is_file() and (path / "Makefile").is_file():
        facility = (KERNEL / "configs" / "rewind.config").read_text() if _has_facility(path) else ""
        return Kernel(ensure(kernel_step("release", source=path.resolve(), extra_config=facility))).image
    raise ConfigError(
        [f"{path}: neither a folder of patches, nor a kernel tree, nor a kernel image"],
        hint="give a folder with the patches of a whole series, a kernel source tree, or a bzImage",
    )


def run(
    kernel: Path,
    against: Path,
    folder: Path,
    thresholds: Thresholds,
    *,
    axes: tuple[str, ...] = AXES,
    progress: Progress | None = None,
) -> Comparison:
    """Measure both kernels, run the slice of self-tests on the new one, and compare.

    `folder` receives the logs. Raises the errors of builds and boots; a regression is a result.
    """
    progress = progress or Progress()
    with progress.stage("build both kernels"):
        images = {"old": image_of(against), "new": image_of(kernel)}
    initramfs = cost.make_initramfs(folder / "cost", axes=axes)
    costs = {}
    for name, image in images.items():
        with progress.stage(f"cost of the {name} kernel"):
            costs[name] = cost.measure(image, initramfs, folder / f"cost-{name}")
    problems, passed = [], 0
    if thresholds.selftests:
        with progress.stage("self-tests of the new kernel"):
            piece = selftest_piece(thresholds)
            shutil.rmtree(folder / "selftests", ignore_errors=True)
            verdict = suite.run_piece(images["new"], piece, folder / "selftests")
            suite.write_verdict(verdict, folder / "selftests")
            problems, passed = selftest_problems(verdict), verdict.passed
    summaries = {name: summarise(measured.records) for name, measured in costs.items()}
    return Comparison(
        str(against),
        str(kernel),
        compare(summaries["old"], summaries["new"], thresholds, whole=axes == AXES),
        tuple(problems),
        passed,
        refused=tuple(costs["new"].errors),
        refused_before=tuple(costs["old"].errors),
    )


def selftest_piece(thresholds: Thresholds) -> Piece:
    """The boot of the self-tests that configs/regress.toml names, with their arguments."""
    commands = tuple(suite.command(*line.split(maxsplit=1)) for line in thresholds.selftests)
    return Piece("selftests", commands, suite.machine(), SELFTEST_LIMIT_S)


def selftest_problems(verdict: Verdict) -> list[str]:
    """The failures; that nothing passed at all is one."""
    return [*verdict.problems, *([] if verdict.passed else ["none passed"])]


def compare(old: Summary, new: Summary, thresholds: Thresholds, *, whole: bool = False) -> tuple[Change, ...]:
    """Every figure on both kernels; one that is missing on the new kernel only is worse.

    Of a `whole` measurement nothing may be missing, on whichever kernel.
    """
    changes = []
    after = new.as_dict()
    for figure, before in old.as_dict().items():
        now = after[figure]
        missing = now is None and (whole or before is not None)
        grown = before is not None and now is not None and thresholds.limit(figure).exceeded(before, now)
        changes.append(Change(figure, before, now, missing or grown))
    return tuple(changes)


def check(comparison: Comparison, report: Path) -> None:
    """Raise RegressionError when the new kernel is worse."""
    found = comparison.regressions
    if found:
        raise RegressionError(
            "\n  ".join([f"{comparison.new} is worse than {comparison.old}:", *found]), hint=f"see {report}"
        )


def _has_facility(tree: Path) -> bool:
    return any(
        "config REWIND\n" in path.read_text()
        for path in (tree / "mm" / "Kconfig", tree / "init" / "Kconfig", tree / "kernel" / "Kconfig.rewind")
        if path.is_file()
    )
