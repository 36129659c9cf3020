"""A figure with the header and footer that every figure carries."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from analysis.figures import FigureMeta
from analysis.frames import CELL_KEY, Frames
from analysis.plotting.style import INK, SOFT, scheme_styles

FAILED_MARK = "†"
BOUND_MARK = "‡"
_LINE_INCHES = 0.155


def figure_grid(
    meta: FigureMeta,
    shape: tuple[int, int],
    size: tuple[float, float],
    *,
    footer: Sequence[Sequence[str]],
    legend: Sequence[Any] = (),
    **subplots: Any,
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of rows x columns panels, `size` inches without header and footer."""
    lines = [line for items in footer for line in _filled(items, int(size[0] * 17))]
    columns = _legend_columns([str(handle.get_label()) for handle in legend], size[0])
    top = 0.62 + (0.07 + 0.20 * -(-len(legend) // columns) if legend else 0.0)
    bottom = 0.12 + _LINE_INCHES * len(lines)
    height = size[1] + top + bottom
    figure = Figure(figsize=(size[0], height), layout="constrained", facecolor="white")
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, bottom / height, 1, 1 - (top + bottom) / height), h_pad=0.06, w_pad=0.06)
    left = 0.08 / size[0]
    figure.text(left, 1 - 0.10 / height, meta.title, fontsize=12.5, fontweight="bold", va="top")
    figure.text(left, 1 - 0.36 / height, meta.question, fontsize=9.5, color=SOFT, va="top")
    figure.text(
        left, (bottom - 0.08) / height, "\n".join(lines), fontsize=7.5, color=SOFT, va="top", linespacing=1.35
    )
    if legend:
        figure.legend(
            handles=list(legend),
            loc="upper left",
            bbox_to_anchor=(left, 1 - 0.56 / height),
            ncols=columns,
            handlelength=1.4,
            columnspacing=1.4,
            borderaxespad=0.0,
        )
    axes = figure.subplots(*shape, squeeze=False, **subplots)
    return figure, [list(row) for row in np.asarray(axes)]


def _legend_columns(labels: Sequence[str], width_in: float) -> int:
    """In how many columns a legend's labels fit beside each other; Matplotlib fills column by column."""
    for columns in range(len(labels), 1, -1):
        rows, fuller = divmod(len(labels), columns)
        starts = [i * rows + min(i, fuller) for i in range(columns + 1)]
        widest = (max(map(len, labels[a:b])) for a, b in itertools.pairwise(starts))
        if sum(0.47 + 0.075 * characters for characters in widest) <= width_in:
            return columns
    return 1


def _filled(items: Sequence[str], width: int) -> list[str]:
    """Items in as few lines as they need; a line breaks between items."""
    lines: list[str] = []
    for item in (part for whole in items for part in textwrap.wrap(whole, width)):
        if lines and len(lines[-1]) + len(item) + 3 <= width:
            lines[-1] += f" · {item}"
        else:
            lines.append(item)
    return lines


def scheme_legend(schemes: Iterable[str]) -> list[Patch]:
    """A swatch per scheme."""
    schemes = list(schemes)
    styles = scheme_styles(schemes)
    return [Patch(facecolor=styles[name].colour, label=name) for name in schemes]


def footer(frames: Frames, rows: pd.DataFrame, *notes: str, n: str = "requests") -> list[list[str]]:
    """Where the figures come from, and what a reader must know before believing them.

    `rows` are the observations drawn (columns of CELL_KEY, boot, container and, if they have them,
    warmup and ok).
    """
    manifest = frames.manifest
    testbed = manifest.testbed
    steady = rows[~rows["warmup"]] if "warmup" in rows else rows
    containers = len(steady[["boot", "container"]].drop_duplicates())
    boots = steady["boot"].nunique()
    counts = f"n = {len(steady):,} {n}, {containers:,} containers, {boots} boot{'s' * (boots != 1)}"
    machine = (
        [f"accelerator {testbed.accelerator}", f"Linux {testbed.kernel}", f"{testbed.cpus} CPUs"]
        if testbed
        else ["testbed unknown"]
    )
    size = manifest.profile.get("size")
    profile = f"profile {manifest.profile_name}" + (f", size {size}" if isinstance(size, str) else "")
    where = [counts, f"clock {manifest.clock}", *machine, profile, f"run {manifest.run}"]
    said = list(notes)
    if "warmup" in rows and rows["warmup"].any():
        said.append(f"{int(rows['warmup'].sum()):,} warm-up requests labelled and left out")
    if boots == 1:
        said.append("one boot: variance between boots not measured")
    if "ok" in steady and not steady["ok"].all():
        said.append(f"{FAILED_MARK} {int((~steady['ok']).sum()):,} invocations failed, in the marked cells")
    if "platform_bound" in rows and rows["platform_bound"].any():
        said.append(f"{BOUND_MARK} platform used over 20 % of the CPUs: supports no claim")
    unfinished = manifest.planned_cells - len(frames.finished[CELL_KEY].drop_duplicates())
    if unfinished > 0:
        said.append(f"{unfinished} of {manifest.planned_cells} cells of the run are not in")
    return [where, said]


def marks(row: Any) -> str:
    """The signs that a table's row earns: failed invocations, platform-bound."""
    failed = FAILED_MARK if getattr(row, "failed", 0) else ""
    return failed + (BOUND_MARK if getattr(row, "platform_bound", False) else "")


def remove_unused(axes: list[list[Axes]], used: int) -> None:
    """Take away the panels of a grid that have nothing to show."""
    for axis in [axis for row in axes for axis in row][used:]:
        axis.remove()


def seconds(value: float) -> str:
    """A duration with three digits and the fitting unit."""
    if not np.isfinite(value):
        return "–"
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= factor:
            return f"{digits(value / factor)} {unit}"
    return f"{digits(value * 1e9)} ns" if value else "0 s"


def digits(value: float) -> str:
    """Three significant digits without an exponent."""
    if not np.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    places = max(0, 2 - int(np.floor(np.log10(abs(float(f"{value:.3g}"))))))
    return f"{value:,.{places}f}"


__all__ = ["INK", "digits", "figure_grid", "footer", "marks", "remove_unused", "scheme_legend", "seconds"]
