"""Completed requests per second against the size of the container pool."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from analysis import observations as obs
from analysis import tables
from analysis.figures import FigureMeta
from analysis.frames import CELL_KEY, Frames
from analysis.plotting.bars import grouped
from analysis.plotting.canvas import digits, figure_grid, footer, scheme_legend
from analysis.plotting.style import SOFT
from analysis.statistics import Sample, estimate, mean

META = FigureMeta(
    name="throughput",
    title="Throughput in a tight container pool",
    question="How many requests per second are completed when warm containers compete for memory?",
    reading="Higher is better above; the dashed line is the load offered. Below: requests that failed, and "
    "the share that met a cold start.",
    order=40,
)
_METRICS = {
    "completed_per_s": "completed per second",
    "failed_share": "failed",
    "cold_share": "cold starts",
}
#: The line of the load offered.
_OFFERED: Any = {"color": SOFT, "linewidth": 1.0, "linestyle": (0, (4, 2))}


def _rows(frames: Frames) -> pd.DataFrame:
    rows = obs.requests(frames)
    return rows[rows["experiment"] == "throughput"]


def cell_rates(rows: pd.DataFrame) -> pd.DataFrame:
    """Per cell: right answers per second from the first intended arrival to the last answer."""
    records = []
    for _, part in rows[~rows["warmup"]].groupby(CELL_KEY, sort=True, observed=True):
        begin, end = int(part["intended_ns"].min()), part["end_ns"].max()
        if pd.isna(end):
            end = part["intended_ns"].max()
        arrivals = (int(part["intended_ns"].max()) - begin) * 1e-9
        window = (int(end) - begin) * 1e-9
        first = part.iloc[0]
        seen = (len(part) - 1) / arrivals if arrivals > 0 else float("nan")
        cold = part["cold"].dropna().astype(float)
        records.append(
            {
                **{name: first[name] for name in [*CELL_KEY, "boot", "platform_bound"]},
                "n": len(part),
                "failed": int((~part["ok"]).sum()),
                "completed_per_s": part["ok"].sum() / window if window > 0 else float("nan"),
                # A few requests of a Poisson schedule tell little of its rate: as asked for, where it was.
                "offered_per_s": json.loads(str(first["params"])).get("rate_per_s", seen),
                "cold_share": cold.mean() if len(cold) else float("nan"),
            }
        )
    return pd.DataFrame(records)


def rate_estimate(cells: pd.DataFrame, column: str) -> dict[str, float]:
    """Mean over cells with its interval: a cell gives one rate, so cells are what is drawn."""
    rows = cells[cells[column].notna()]
    sample = Sample.of(rows[column], rows["boot"], rows["repetition"].astype(str))
    return tables.interval_columns(column, estimate(sample, mean))


def table(frames: Frames) -> pd.DataFrame:
    """Rates and shares per parameters, workload and scheme."""
    cells = cell_rates(_rows(frames))
    records: list[dict[str, object]] = []
    if not len(cells):
        return cells
    for key, part in obs.groups(cells, "params", "workload", "scheme"):
        n, failed = int(part["n"].sum()), int(part["failed"].sum())
        records.append(
            {
                **key,
                "cells": len(part),
                "n": n,
                "failed": failed,
                "platform_bound": bool(part["platform_bound"].any()),
                "offered_per_s": part["offered_per_s"].mean(),
                **rate_estimate(part, "completed_per_s"),
                "failed_share": failed / n,
                **rate_estimate(part, "cold_share"),
            }
        )
    return tables.in_order(pd.DataFrame(records), frames)


def draw(table: pd.DataFrame, frames: Frames) -> Figure:
    """A column of panels per workload (or the mix), pools along x, one bar per scheme."""
    schemes = frames.schemes(table["scheme"])
    workloads = frames.workloads(table["workload"])
    pools = {p: obs.params_label(p) for p in dict.fromkeys(table["params"])}
    width = max(7.2, len(workloads) * (0.9 + 0.2 * len(schemes) * len(pools)))
    figure, axes = figure_grid(
        META,
        (3, len(workloads)),
        (min(width, 11.0), 4.9),
        footer=footer(frames, _rows(frames), _runs(table)),
        legend=[*scheme_legend(schemes), Line2D([], [], **_OFFERED, label="load offered")],
        sharex=True,
        sharey="row",
        height_ratios=(2.6, 1, 1),
    )
    for column, workload in enumerate(workloads):
        part = table[table["workload"] == workload]
        for row, (metric, label) in enumerate(_METRICS.items()):
            axis = axes[row][column]
            shown = part if row == 0 else part.assign(failed=0, platform_bound=False)
            grouped(axis, shown, by="params", groups=pools, value=metric, schemes=schemes)
            if column == 0:
                axis.set_ylabel(label)
            if row:
                axis.yaxis.set_major_formatter(PercentFormatter(1.0))
                axis.set_ylim(0, max(0.05, min(1.0, axis.get_ylim()[1])))
                axis.locator_params(axis="y", nbins=3)
            if metric == "failed_share" and not part["failed"].any():
                axis.text(
                    0.5, 0.5, "none failed", transform=axis.transAxes, ha="center", va="center", color=SOFT
                )
        top = axes[0][column]
        top.set_title("request mix" if workload == "mix" else workload)
        for place, pool in enumerate(pools):
            offered = part.loc[part["params"] == pool, "offered_per_s"].mean()
            top.plot([place - 0.45, place + 0.45], [offered] * 2, **_OFFERED)
        top.set_ylim(0, max(top.get_ylim()[1], part["offered_per_s"].max() * 1.08))
    return figure


def _runs(table: pd.DataFrame) -> str:
    fewest, most = int(table["cells"].min()), int(table["cells"].max())
    count = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return f"{count} repetition{'s' * (most != 1)} a bar"


def finding(table: pd.DataFrame) -> str:
    """Best and worst in the first (smallest) pool."""
    first = table[
        (table["params"] == table["params"].iloc[0]) & (table["workload"] == table["workload"].iloc[0])
    ]
    if len(first) < 2:
        return ""
    best, worst = first.loc[first["completed_per_s"].idxmax()], first.loc[first["completed_per_s"].idxmin()]
    where = obs.params_label(str(best["params"])) or "this load"
    return (
        f"With {where}, {best['scheme']} completes {digits(best['completed_per_s'])} requests/s and "
        f"{worst['scheme']} {digits(worst['completed_per_s'])} of {digits(best['offered_per_s'])} offered."
    )
