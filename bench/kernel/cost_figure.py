"""The cost figure: rewind over dirty pages, idle threads, regions and resident pages, in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.kernel.fit import Record, line, sweep

WIDTH_IN, HEIGHT_IN = 9.0, 6.5
#: Colours that stay apart in print and for colour-blind readers (Okabe and Ito).
COLOURS = {"fixed": "#0072B2", "one-new": "#E69F00", "sliding": "#009E73"}


def draw(records: Sequence[Record], title: str, *targets: Path) -> None:
    """Draw to each target; its suffix (.png, .svg) names the format."""
    good = [record for record in records if "error" not in record]
    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    dirty, threads, regions, mapped = figure.subplots(2, 2).flat
    _dirty(dirty, [record for record in good if record.get("axis") == "dirty"])
    _one(threads, good, "threads", "idle_threads", "idle threads")
    _one(regions, good, "regions", "regions", "mapped regions")
    _one(mapped, good, "mapped", "resident_pages", "resident pages (4 KiB)")
    figure.suptitle(title)
    for target in targets:
        figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)


def _dirty(axes: Axes, records: Sequence[Record]) -> None:
    labels = {"fixed": "same pages", "one-new": "one new page", "sliding": "other pages each time"}
    for kind, colour in COLOURS.items():
        points = sweep([record for record in records if record["kind"] == kind], "dirty_pages")
        if len(points) > 1:
            fitted = line(points)
            label = f"{labels[kind]}: {fitted.intercept_ns / 1e3:.1f} µs + {fitted.slope_ns:.0f} ns/page"
            axes.plot(
                [max(x, 1) for x, _ in points],
                [y / 1e3 for _, y in points],
                "o-",
                color=colour,
                label=label,
                markersize=4,
            )
    axes.set(xscale="log", yscale="log", xlabel="pages written by the request", ylabel="rewind (µs)")
    if axes.lines:
        axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


def _one(axes: Axes, records: Sequence[Record], name: str, size: str, label: str) -> None:
    points = sweep([record for record in records if record.get("axis") == name], size)
    axes.plot(
        [x for x, _ in points], [y / 1e3 for _, y in points], "o-", color=COLOURS["fixed"], markersize=4
    )
    if len({x for x, _ in points}) > 1:
        fitted = line(points)
        axes.set_title(f"{fitted.slope_ns:.2f} ns each", fontsize=9)
    axes.set(xlabel=label, ylabel="rewind (µs)", ylim=(0, None))
    axes.grid(alpha=0.3)
