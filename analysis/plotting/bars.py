"""Grouped bars with intervals, and rows of stacked bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.plotting.canvas import marks
from analysis.plotting.style import INK, scheme_styles


def whisker(axis: Axes, x: Any, row: Any, value: str, **how: Any) -> None:
    """The interval NAME_low..NAME_high of a table's row, where there is one."""
    low, high = getattr(row, f"{value}_low", np.nan), getattr(row, f"{value}_high", np.nan)
    if np.isfinite(low) and np.isfinite(high):
        axis.plot([x, x], [low, high], color=INK, linewidth=1.1, solid_capstyle="butt", **how)


def grouped(
    axis: Axes,
    table: pd.DataFrame,
    *,
    by: str,
    groups: Mapping[str, str],
    value: str,
    schemes: Sequence[str],
    outline: str = "",
    inner: str = "",
) -> None:
    """One group of bars per value of column `by`, in it one bar per scheme.

    `groups` maps those values to their labels. `outline` names a column drawn as an open bar
    behind, `inner` one as a line across the bar.
    """
    styles = scheme_styles(schemes)
    places = list(groups)
    width = 0.8 / len(schemes)
    for row in table.itertuples():
        height = float(getattr(row, value))
        group, scheme = str(getattr(row, by)), str(row.scheme)
        x = places.index(group) + (schemes.index(scheme) - (len(schemes) - 1) / 2) * width
        if not np.isfinite(height):
            axis.text(x, 0, " not measured", rotation=90, fontsize=6, ha="center", va="bottom")
            continue
        bound = bool(getattr(row, "platform_bound", False))
        failed = bool(getattr(row, "failed", 0))
        bar = axis.bar(
            x,
            height,
            width * 0.88,
            color=styles[scheme].colour,
            edgecolor="white" if failed or bound else "none",
            linewidth=0,
            hatch="///" if failed else None,
        )
        bar[0].set_gid(f"bar:{value}:{group}:{scheme}")
        if outline and np.isfinite(getattr(row, outline)):
            axis.bar(
                x,
                getattr(row, outline),
                width * 0.88,
                fill=False,
                edgecolor=styles[scheme].colour,
                linewidth=0.9,
            )
        if inner and np.isfinite(getattr(row, inner)):
            level = getattr(row, inner)
            axis.plot([x - width * 0.44, x + width * 0.44], [level] * 2, color="white", linewidth=2.2)
            axis.plot([x - width * 0.44, x + width * 0.44], [level] * 2, color=INK, linewidth=1.0)
        whisker(axis, x, row, value)
        tops = (
            height,
            getattr(row, f"{value}_high", np.nan),
            getattr(row, outline, np.nan) if outline else 0,
        )
        axis.annotate(
            marks(row),
            (x, float(np.nanmax(tops))),
            (0, 1),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axis.set_xticks(range(len(groups)), list(groups.values()))
    axis.set_xlim(-0.55, len(groups) - 0.45)
    axis.grid(visible=False, axis="x")
    axis.tick_params(axis="x", length=0)
    axis.margins(y=0.12)
    axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]) if (table[value] < 0).any() else 0)


def _run_out(axis: Axes, y: int, said: str) -> None:
    """Mark a bar that goes on beyond the panel and write its length into it."""
    place = axis.get_yaxis_transform()
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.92}
    axis.text(0.93, y, said, transform=place, ha="right", va="center", fontsize=8, bbox=box)
    axis.plot(
        1.0, y, marker=">", ms=7, color=INK, mec="white", mew=0.8, transform=place, clip_on=False, zorder=5
    )


def stacked_rows(
    axis: Axes,
    table: pd.DataFrame,
    *,
    schemes: Sequence[str],
    segments: Mapping[str, Mapping[str, Any]],
    total: str,
    text: Mapping[str, str],
    cut: float = np.inf,
) -> None:
    """One horizontal stacked bar per scheme; `segments` are columns with how to fill them.

    `text` is written after each scheme's bar; `total` names the column whose interval is drawn.
    With `cut`, bars over that length run out of the panel, which they say.
    """
    top = 0.0
    for row in table.itertuples():
        scheme = str(row.scheme)
        y = schemes.index(scheme)
        left = 0.0
        for column, look in segments.items():
            length = float(getattr(row, column))
            if np.isfinite(length) and length > 0:
                bar = axis.barh(
                    y, length, 0.66, left=left, **{"linewidth": 0.5, "edgecolor": "white", **look}
                )
                bar[0].set_gid(f"bar:{column}:{scheme}")
                left += length
        low, high = getattr(row, f"{total}_low", np.nan), getattr(row, f"{total}_high", np.nan)
        if np.isfinite(low) and np.isfinite(high):
            axis.plot([low, high], [y, y], color=INK, linewidth=1.1, solid_capstyle="butt")
            left = max(left, high)
        said = text[scheme] + marks(row)
        if left > cut:
            _run_out(axis, y, said)
        else:
            axis.annotate(said, (left, y), (3, 0), textcoords="offset points", va="center", fontsize=8)
            top = max(top, left)
    axis.set_xlim(0, top * 1.28 if top else 1)
    axis.set_yticks(range(len(schemes)), list(schemes))
    axis.set_ylim(len(schemes) - 0.5, -0.5)
    axis.grid(visible=False, axis="y")
    axis.tick_params(axis="y", length=0)
