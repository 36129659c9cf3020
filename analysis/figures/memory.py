"""What a warm container costs in memory, seen per container and for the whole guest."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis import observations as obs
from analysis import tables
from analysis.figures import FigureMeta
from analysis.frames import CELL_KEY, Frames
from analysis.plotting.bars import grouped
from analysis.plotting.canvas import digits, figure_grid, footer, scheme_legend
from analysis.plotting.style import INK, SOFT
from analysis.slope import Series, slope
from analysis.statistics import Estimate, estimate, mean

META = FigureMeta(
    name="memory",
    title="Memory of a warm container",
    question="What does keeping one more warm container cost?",
    reading="Above: proportional set size of the container's processes (bar), private part (black line) and "
    "resident set size (outline; counts shared pages again in every process). Below: the drop of the whole "
    "guest's available memory per container, the only one that sees what the kernel keeps.",
    order=50,
)
_MB = 1 / 2**20
_CONTAINER = {"pss_mb": "pss_bytes", "private_mb": "private_bytes", "rss_mb": "rss_bytes"}


def last_samples(frames: Frames) -> pd.DataFrame:
    """The last sample of each container (the most requests served), figures in MiB."""
    rows = obs.memory(frames)
    rows = rows[(rows["container_id"] != "") & rows["pss_bytes"].notna()]
    rows = obs.of_experiment(rows, "memory", *sorted(set(rows["experiment"])))
    last = rows.groupby([*CELL_KEY, "container_id"], sort=True, observed=True)["requests"].idxmax()
    rows = rows.loc[last].rename(columns={"container_id": "container"})
    for name, source in _CONTAINER.items():
        rows[name] = rows[source].astype("Float64").to_numpy(float, na_value=float("nan")) * _MB
    return rows


def container_slope(rows: pd.DataFrame) -> Estimate:
    """MiB of available memory that one more container takes, over all repetitions."""
    series = []
    for _, part in rows.groupby([*CELL_KEY, "boot"], sort=True, observed=True):
        drop = -part["available_bytes"].astype("Float64").to_numpy(float) * _MB
        line = pd.DataFrame({"x": part["containers"].astype(float), "y": drop}).groupby("x")["y"].mean()
        series.append(Series(str(part["boot"].iloc[0]), line.index.to_numpy(float), line.to_numpy(float)))
    return slope(series)


@obs.cached
def table(frames: Frames) -> pd.DataFrame:
    """Per workload and scheme: mean PSS, private and RSS of a container, and the guest-wide slope."""
    containers = last_samples(frames)
    rows = obs.memory(frames)
    guest = rows[(rows["container_id"] == "") & rows["available_bytes"].notna()]
    guest = obs.of_experiment(guest, "memory", *sorted(set(guest["experiment"])))
    slopes = {tuple(k.values()): container_slope(p) for k, p in obs.groups(guest, "workload", "scheme")}
    sizes = {tuple(k.values()): p for k, p in obs.groups(containers, "workload", "scheme")}
    records: list[dict[str, object]] = []
    for key in sorted(set(slopes) | set(sizes)):
        record: dict[str, object] = {"workload": key[0], "scheme": key[1], "containers": 0, "boots": 0}
        part = sizes.get(key, containers.iloc[:0])
        for column in _CONTAINER:
            figure = estimate(obs.sample(part, column), mean)
            record |= tables.interval_columns(column, figure)
            if figure.n:
                record |= {"containers": figure.containers, "boots": figure.boots}
        fit = slopes.get(key)
        empty = dict.fromkeys(("slope_mb", "slope_mb_low", "slope_mb_high"), float("nan"))
        records.append(record | (tables.interval_columns("slope_mb", fit) if fit else empty))
    return tables.in_order(pd.DataFrame(records), frames)


def draw(table: pd.DataFrame, frames: Frames) -> Figure:
    """Two panels over one axis of workloads."""
    schemes = frames.schemes(table["scheme"])
    workloads = {w: w for w in frames.workloads(table["workload"])}
    rows = last_samples(frames)
    if not len(rows):
        rows = obs.memory(frames).rename(columns={"container_id": "container"})
    legend = [
        *scheme_legend(schemes),
        Line2D([], [], color=INK, linewidth=1.0, label="private"),
        Patch(fill=False, edgecolor=SOFT, label="RSS"),
    ]
    missing = [n for c, n in (("pss_mb", "PSS"), ("slope_mb", "guest-wide slope")) if table[c].isna().all()]
    figure, axes = figure_grid(
        META,
        (2, 1),
        (min(max(7.2, 0.2 * len(schemes) * len(workloads) + 1.5), 11.0), 4.6),
        footer=footer(
            frames, rows, *(f"{name} not measured" for name in missing), n="samples (each container's last)"
        ),
        legend=legend,
        sharex=True,
    )
    top, bottom = axes[0][0], axes[1][0]
    grouped(
        top,
        table,
        by="workload",
        groups=workloads,
        value="pss_mb",
        schemes=schemes,
        outline="rss_mb",
        inner="private_mb",
    )
    grouped(bottom, table, by="workload", groups=workloads, value="slope_mb", schemes=schemes)
    top.set_ylabel("bar: PSS (MiB)")
    bottom.set_ylabel("drop of available\nmemory per container (MiB)")
    return figure


def finding(table: pd.DataFrame) -> str:
    """Mean guest-wide cost (PSS where that is absent) relative to the reference."""
    for column, label in (("slope_mb", "guest-wide memory per container"), ("pss_mb", "PSS per container")):
        wide = table.pivot_table(index="workload", columns="scheme", values=column).dropna()
        if obs.REFERENCE in wide and wide.shape[1] > 1:
            share = wide.div(wide[obs.REFERENCE], axis=0).mean().drop(obs.REFERENCE).sort_values()
            parts = [f"{name} {digits(value)} ×" for name, value in share.items()]
            return f"Mean {label}, relative to {obs.REFERENCE}: {', '.join(parts)}."
    return ""
