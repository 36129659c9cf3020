"""`rewind-bench kernel-cost`: measure, prove that it repeats, write JSON and figures."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from bench.errors import KernelError, RunIncompleteError
from bench.kernel import anchors, cost, cost_figure
from bench.kernel.cost_beside import Beside, beside
from bench.kernel.fit import BENT, Line, Summary, lines, summarise
from bench.progress import Progress

JSON_NAME = "kernel-cost.json"
FIGURE_NAMES = ("kernel-cost.png", "kernel-cost.svg")
SCHEMA = 1


class NotRepeatableError(KernelError):
    """Two boots under the instruction clock gave different figures."""

    exit_status = 33

    def __init__(self, differences: Sequence[str], *, hint: str) -> None:
        self.differences = tuple(differences)
        head = f"{len(differences)} figures differ between two boots:"
        super().__init__("\n  ".join([head, *self.differences[:20]]), hint=hint)


@dataclass(frozen=True)
class CostReport:
    """Where the files are, and the headline figures."""

    summary: Summary
    files: tuple[Path, ...]
    #: What the kernel refused while it was measured.
    errors: tuple[str, ...]
    #: Beside what others cost.
    compared: tuple[anchors.Compared, ...]
    #: Through each sweep of a rewind.
    lines: Mapping[str, Line]
    #: The kernel's own costs, the ablations, and the log's size.
    beside: tuple[Beside, ...]

    def check(self) -> None:
        """Raise RunIncompleteError when no checkpoint could be measured."""
        if self.summary.checkpoint_ns is None and not self.lines and self.summary.request_rewind_ns is None:
            raise RunIncompleteError(
                "no figure of a checkpoint or rewind could be measured",
                hint="; ".join(self.errors) or f"see {self.files[0]}",
            )


def table(lines: Mapping[str, Line]) -> Table:
    """Intercept and slope of each sweep; a bend, which makes both mean little, is pointed out."""
    shown = Table("rewind, by", "at zero (µs)", "each (ns)", "worst point off by", "")
    for name, one in lines.items():
        bend = "not a line" if one.worst_relative > BENT else ""
        figures = (f"{one.intercept_ns / 1e3:,.1f}", f"{one.slope_ns:,.2f}", f"{one.worst_relative:.1%}")
        shown.add_row(name, *figures, bend)
    return shown


def table_beside(figures: Sequence[Beside]) -> Table:
    """What stands beside the sweeps."""
    shown = Table("beside it", "", "")
    for one in figures:
        shown.add_row(one.name, one.figure, one.note)
    return shown


def kernel_cost(
    kernel: Path,
    folder: Path,
    *,
    label: str,
    axes: Sequence[str] = cost.AXES,
    twice: bool = True,
    progress: Progress | None = None,
) -> CostReport:
    """Measure a kernel (a bzImage) and write `folder`/kernel-cost.json, .png and .svg.

    With `twice`, a second boot runs while all processors of the host are kept busy, and must give the
    same figures to the nanosecond: NotRepeatableError says where it does not. Raises the errors of a boot.
    """
    progress = progress or Progress()
    initramfs = cost.make_initramfs(folder / "work", axes=axes)
    with progress.stage("kernel cost"):
        first = cost.measure(kernel, initramfs, folder / "boot-1")
    if twice:
        with progress.stage("kernel cost again, on a busy host"), busy_host():
            second = cost.measure(kernel, initramfs, folder / "boot-2")
        differences = cost.same_figures(first, second)
        if differences:
            hint = f"see {folder}; something in the guest depends on the host"
            raise NotRepeatableError(differences, hint=hint)
    initramfs.unlink()
    return write(first, folder, label=label, repeated=twice)


def write(costs: cost.Costs, folder: Path, *, label: str, repeated: bool) -> CostReport:
    """Write JSON and figures of a measured kernel."""
    summary = summarise(costs.records)
    fitted = lines(costs.records)
    compared = tuple(anchors.compare(summary, anchors.load()))
    others = beside(summary, costs.records)
    whole = {
        "schema": SCHEMA,
        "kernel": label,
        "clock": "guest instructions, 1 ns each",
        "repeated_under_load": repeated,
        "summary": summary.as_dict(),
        "lines": {name: asdict(one) for name, one in fitted.items()},
        "compared": [asdict(one) | {"ratio": one.ratio, "verdict": one.verdict} for one in compared],
        "beside": [asdict(one) for one in others],
        "records": list(costs.records),
    }
    data = folder / JSON_NAME
    data.write_text(json.dumps(whole, indent=1) + "\n")
    figures = [folder / name for name in FIGURE_NAMES]
    cost_figure.draw(costs.records, f"Cost of a rewind, {label} (instruction clock)", *figures)
    return CostReport(summary, (data, *figures), tuple(costs.errors), compared, fitted, others)


@contextlib.contextmanager
def busy_host() -> Iterator[None]:
    """Keep every processor of the host busy, to show that it does not matter."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_spin, daemon=True) for _ in range(os.cpu_count() or 1)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.join()


def _spin() -> None:
    while True:
        sum(range(100_000))
