"""Closed loop: what one client after the other gets, and how long it holds the container."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis import observations as obs
from analysis import tables
from analysis.figures import FigureMeta
from analysis.figures.throughput import cell_rates, rate_estimate
from analysis.frames import Frames
from analysis.plotting.bars import grouped
from analysis.plotting.canvas import digits, figure_grid, footer, scheme_legend
from analysis.statistics import estimate, mean

META = FigureMeta(
    name="saturation",
    title="Saturation",
    question="Is the cost of isolation gone, or only hidden behind the reply?",
    reading="Requests follow each other without a pause. Above: completed per second (higher is better). "
    "Below: how long a request keeps its container, the time after the reply included (lower is better).",
    order=70,
)


def _rows(frames: Frames) -> pd.DataFrame:
    rows = obs.requests(frames)
    return rows[rows["experiment"] == "saturation"]


def table(frames: Frames) -> pd.DataFrame:
    """Rates and mean busy milliseconds per parameters, workload and scheme."""
    rows = _rows(frames)
    cells = cell_rates(rows)
    if not len(cells):
        return cells
    rows = rows[~rows["warmup"]].copy()
    rows["busy_ms"] = (rows["init_s"] + rows["run_s"] + rows["busy_after_s"].fillna(0)) * 1e3
    busy = {tuple(k.values()): part for k, part in obs.groups(rows, "params", "workload", "scheme")}
    records: list[dict[str, object]] = []
    for key, part in obs.groups(cells, "params", "workload", "scheme"):
        mine = busy[tuple(key.values())]
        records.append(
            {
                **key,
                "n": int(part["n"].sum()),
                "failed": int(part["failed"].sum()),
                "platform_bound": bool(part["platform_bound"].any()),
                **rate_estimate(part, "completed_per_s"),
                **tables.interval_columns("busy_ms", estimate(obs.sample(mine, "busy_ms"), mean)),
                "busy_after_measured": bool(mine["busy_after_s"].notna().any()),
            }
        )
    return tables.in_order(pd.DataFrame(records), frames)


def draw(table: pd.DataFrame, frames: Frames) -> Figure:
    """A column of panels per workload, each with its own scale."""
    schemes = frames.schemes(table["scheme"])
    workloads = frames.workloads(table["workload"])
    params = {p: obs.params_label(p) for p in dict.fromkeys(table["params"])}
    untold = sorted(set(table.loc[~table["busy_after_measured"], "scheme"]))
    notes = [f"time after the reply not measured for {', '.join(untold)}"] if untold else []
    one = len(params) == 1
    if one and (only := next(iter(params.values()))):
        notes.append(only)
    figure, axes = figure_grid(
        META,
        (2, len(workloads)),
        (min(max(7.2, 1.55 * len(workloads) * len(params)), 12.0), 3.5),
        footer=footer(frames, _rows(frames), *notes),
        legend=scheme_legend(schemes),
        sharex=True,
    )
    for column, workload in enumerate(workloads):
        part = table[table["workload"] == workload]
        for row, metric in enumerate(("completed_per_s", "busy_ms")):
            axis = axes[row][column]
            grouped(
                axis,
                part,
                by="params",
                groups=dict.fromkeys(params, "") if one else params,
                value=metric,
                schemes=schemes,
            )
            axis.locator_params(axis="y", nbins=5)
        axes[0][column].set_title(workload)
    axes[0][0].set_ylabel("completed per second")
    axes[1][0].set_ylabel("container busy (ms/request)")
    return figure


def finding(table: pd.DataFrame) -> str:
    """The largest loss of rate against the reference."""
    base = table[table["scheme"] == obs.REFERENCE].set_index(["params", "workload"])["completed_per_s"]
    rates = table.set_index(["params", "workload"])
    share = (rates["completed_per_s"] / base.reindex(rates.index)).groupby(rates["scheme"].to_numpy()).mean()
    share = share.drop(index=obs.REFERENCE, errors="ignore").dropna().sort_values(ascending=False)
    if not len(share):
        return ""
    parts = [f"{name} {digits(value * 100)} %" for name, value in share.items()]
    return f"At saturation, of {obs.REFERENCE}'s rate (mean over workloads): {', '.join(parts)}."
