"""configs/kernel-cost.toml: what the series' kernel may cost, and a full run's verdict on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import PositiveFloat

from bench.build.digest import digest_of
from bench.errors import KernelError, RunIncompleteError
from bench.kernel import cost, cost_report, suite
from bench.kernel.fit import Summary, number
from bench.kernel.thresholds import load_figures
from bench.paths import CONFIGS
from bench.progress import Progress
from bench.tomlfile import Strict

FILE = CONFIGS / "kernel-cost.toml"
NAME = "cost"


class CostLimits(Strict):
    """The whole file."""

    #: By the names of `Summary`: a larger figure is a failure.
    limits: Mapping[str, PositiveFloat]


def load(path: Path = FILE) -> Mapping[str, float]:
    """Read and check the file; ConfigError names every fault."""
    return load_figures(path, CostLimits, "limits").limits


def above(summary: Summary, limits: Mapping[str, float]) -> Iterator[str]:
    """A line for each figure that is above its limit, or was not measured."""
    for name, value in summary.as_dict().items():
        limit = limits.get(name)
        if limit is not None and (value is None or value > limit):
            yield f"{name}: {number(value)}, limit {number(limit)}"


def key_of(limits: Mapping[str, float]) -> str:
    """A digest of what is measured and judged."""
    judged = [f"{name} {limit}" for name, limit in limits.items()]
    return digest_of([judged, list(cost.AXES), cost.GENERATIONS])


def verdict(
    kernel: Path, folder: Path, limits: Mapping[str, float], progress: Progress | None = None
) -> suite.Verdict:
    """Measure a kernel (a bzImage) twice and judge; JSON, figures and logs in `folder`.

    Boots that differ, a series that was refused, and a kernel that did not come to its end are problems.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        report = cost_report.kernel_cost(kernel, folder, label="kernel/patches", progress=progress)
    except cost_report.NotRepeatableError as error:
        return _verdict([f"two boots differ: {line}" for line in error.differences])
    except (KernelError, RunIncompleteError) as error:
        return _verdict([f"{error.message} (log: {folder})"])
    high = list(above(report.summary, limits))
    return _verdict([*(f"refused: {line}" for line in report.errors), *high], len(limits) - len(high))


def _verdict(problems: list[str], passed: int = 0) -> suite.Verdict:
    return suite.Verdict(NAME, tuple(problems), passed, (), 0.0)
