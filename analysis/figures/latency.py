"""End-to-end latency: cumulative distribution per scheme, one panel per workload."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from analysis import observations as obs
from analysis import tables
from analysis.figures import FigureMeta
from analysis.frames import Frames
from analysis.plotting.canvas import figure_grid, footer, marks, remove_unused, seconds
from analysis.plotting.style import GRID, SchemeStyle, scheme_styles

META = FigureMeta(
    name="latency",
    title="End-to-end latency",
    question="How long does a client wait for the right answer?",
    reading="Left is better. A curve that ends below 100 % lost the rest: failed, wrong and dropped requests "
    "count as never answered. The dot is the median.",
    order=20,
)
_COLUMNS = 3
#: Vertices per curve; the tails, where outliers are, are always drawn in full.
_VERTICES, _TAIL = 240, 40


def table(frames: Frames) -> pd.DataFrame:
    """Rows of `tables.latency` of the experiment that stands for latency."""
    found = obs.of_experiment(tables.latency(frames), *obs.LATENCY_EXPERIMENTS)
    return found[found["n"] > 0].reset_index(drop=True)


def draw(table: pd.DataFrame, frames: Frames) -> Figure:
    """A panel per workload and parameters."""
    rows = obs.of_experiment(obs.requests(frames), *obs.LATENCY_EXPERIMENTS)
    schemes = frames.schemes(table["scheme"])
    styles = scheme_styles(schemes)
    panels = list(dict.fromkeys(zip(table["params"], table["action"], strict=True)))
    columns = min(_COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    legend = [
        Line2D(
            [], [], color=styles[s].colour, linestyle=styles[s].dash, marker=styles[s].marker, label=s, ms=5
        )
        for s in schemes
    ]
    source = table["experiment"].iloc[0]
    figure, axes = figure_grid(
        META,
        (lines, columns),
        (max(3.1 * columns, 7.2), 2.35 * lines),
        footer=footer(frames, rows, f"experiment {source}"),
        legend=legend,
        sharey=True,
    )
    several = len(set(table["params"])) > 1
    for index, (params, action) in enumerate(panels):
        axis = axes[index // columns][index % columns]
        part = rows[(rows["params"] == params) & (rows["action"] == action) & ~rows["warmup"]]
        chosen = table[(table["params"] == params) & (table["action"] == action)]
        for row in chosen.itertuples():
            mine = part.loc[part["scheme"] == row.scheme, "latency_s"]
            _curve(axis, mine, styles[str(row.scheme)], f"cdf:{action}:{row.scheme}")
        signs = "".join(sorted({sign for row in chosen.itertuples() for sign in marks(row)}))
        axis.set_title(f"{action}{signs}" + (f" ({obs.params_label(params)})" if several else ""))
        _scale(axis)
        if index // columns == lines - 1 or index + columns >= len(panels):
            axis.set_xlabel("latency from intended arrival (log scale)")
            axis.tick_params(labelbottom=True)
        if index % columns == 0:
            axis.set_ylabel("share of requests")
    remove_unused(axes, len(panels))
    return figure


def finding(_table: pd.DataFrame) -> str:
    """Nothing: the overview says it."""
    return ""


def _curve(axis: Axes, latency: pd.Series[float], style: SchemeStyle, name: str) -> None:
    good = np.sort(latency.dropna().to_numpy(float))
    if not len(good):
        return
    share = np.arange(1, len(good) + 1) / len(latency)
    keep = np.unique(
        np.concatenate(
            [
                np.arange(min(_TAIL, len(good))),
                np.linspace(0, len(good) - 1, _VERTICES).astype(int),
                np.arange(max(0, len(good) - _TAIL), len(good)),
            ]
        )
    )
    x, y = np.concatenate([good[:1], good[keep]]), np.concatenate([[0.0], share[keep]])
    line = axis.step(x, y, where="post", color=style.colour, linestyle=style.dash, linewidth=1.6)
    line[0].set_gid(name)
    middle = float(np.median(good))
    height = float(np.interp(middle, good, share))
    axis.plot(middle, height, marker=style.marker, color=style.colour, ms=5, mec="white", mew=0.7)
    axis.plot(good[-1], share[-1], marker="|", color=style.colour, ms=6)


def _scale(axis: Axes) -> None:
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    if high / low < 20:
        middle = float(np.sqrt(low * high))
        axis.set_xlim(min(low, middle / 5), max(high, middle * 5))
    axis.set_ylim(0, 1.02)
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    low, high = axis.get_xlim()
    decades = float(np.log10(high / low))
    steps = (1.0, 2.0, 5.0) if decades < 1.4 else (1.0, 3.0) if decades < 2.2 else (1.0,)
    axis.xaxis.set_major_locator(LogLocator(subs=steps, numticks=12))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.grid(visible=True, which="major", color=GRID)


def _tick(value: float) -> str:
    text = seconds(value)
    number, _, unit = text.partition(" ")
    return f"{float(number.replace(',', '')):g} {unit}" if unit else text
