"""What isolation costs at one glance: median latency of each scheme over the baseline's."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from analysis import observations as obs
from analysis import tables
from analysis.figures import FigureMeta
from analysis.frames import Frames
from analysis.plotting.canvas import digits, figure_grid, footer, marks
from analysis.plotting.style import INK, REFERENCE_COLOUR, SOFT, scheme_styles
from analysis.statistics import mean_ratio, median

META = FigureMeta(
    name="overview",
    title="What isolation costs",
    question=f"Median end-to-end latency, relative to {obs.REFERENCE} (warm reuse, no isolation)",
    reading="Schemes from fastest to slowest. The large mark is the geometric mean over the workloads "
    "with its 95 % interval, each small dot one workload.",
    order=10,
)
_ALL = "all"


def table(frames: Frames) -> pd.DataFrame:
    """Ratio to the reference per scheme and workload, and over all (action "all"), fastest first.

    The mean is over the workloads (and parameters) that every scheme answered, so that no scheme
    gains by failing at the hard ones.
    """
    ratios = obs.of_experiment(tables.relative(frames), *obs.LATENCY_EXPERIMENTS)
    ratios = ratios[(ratios["against"] == obs.REFERENCE) & ratios["ratio"].notna()]
    if not len(ratios) or set(ratios["scheme"]) == {obs.REFERENCE}:
        return ratios.iloc[:0]
    schemes = frames.schemes(ratios["scheme"])
    counts = ratios.groupby(["params", "action"])["scheme"].nunique()
    common = [key for key, count in counts.items() if count == len(schemes)]
    rows = obs.of_experiment(obs.requests(frames), *obs.LATENCY_EXPERIMENTS)
    rows = rows[~rows["warmup"]]
    samples = {tuple(key.values()): obs.sample(part, "latency_s") for key, part in obs.groups(rows, *_KEY)}
    facts = obs.of_experiment(tables.latency(frames), *obs.LATENCY_EXPERIMENTS)
    records: list[dict[str, object]] = []
    for scheme in schemes:
        mine = facts[facts["scheme"] == scheme]
        pairs = [(samples[(*key, scheme)], samples[(*key, obs.REFERENCE)]) for key in common]  # type: ignore[misc]
        figure = mean_ratio(pairs, median)
        record = {"params": "{}", "action": _ALL, "scheme": scheme, "workloads": len(common)}
        record |= tables.interval_columns("ratio", figure)
        if scheme == obs.REFERENCE:
            record |= {"ratio": 1.0, "ratio_low": 1.0, "ratio_high": 1.0}
        records.append(
            {**record, "failed": mine["failed"].sum(), "platform_bound": mine["platform_bound"].any()}
        )
    whole = pd.DataFrame(records).sort_values("ratio", kind="stable")
    place = {scheme: i for i, scheme in enumerate(whole["scheme"])}
    single = ratios.drop(columns=["experiment", "against"])
    single = single.merge(facts[["params", "action", "scheme", "failed", "platform_bound"]])
    single = single.sort_values("scheme", key=lambda names: names.map(place), kind="stable")
    return pd.concat([whole, single], ignore_index=True)


_KEY = ["params", "action", "scheme"]


def draw(table: pd.DataFrame, frames: Frames) -> Figure:
    """One row per scheme on a logarithmic axis of ratios."""
    whole, single = table[table["action"] == _ALL], table[table["action"] != _ALL]
    order = list(whole["scheme"])
    styles = scheme_styles(order)
    rows = obs.of_experiment(obs.requests(frames), *obs.LATENCY_EXPERIMENTS)
    note = f"geometric mean over {int(whole['workloads'].iloc[0])} workloads that all schemes answered"
    figure, [[axis]] = figure_grid(
        META, (1, 1), (7.2, 0.42 * len(order) + 0.75), footer=footer(frames, rows, note)
    )
    axis.axvline(1, color=REFERENCE_COLOUR, linewidth=1.0, linestyle=(0, (4, 3)))
    for y, row in enumerate(whole.itertuples()):
        style = styles[str(row.scheme)]
        dots = np.sort(single.loc[single["scheme"] == row.scheme, "ratio"].to_numpy(float))
        axis.plot(dots, np.full(len(dots), y), "o", color=style.colour, ms=4, alpha=0.4, mew=0)
        value, low, high = float(row.ratio), float(row.ratio_low), float(row.ratio_high)  # type: ignore[arg-type]
        axis.plot([1, value], [y, y], color=style.colour, linewidth=7, alpha=0.3, solid_capstyle="butt")
        if np.isfinite(low) and row.scheme != obs.REFERENCE:
            axis.plot([low, high], [y, y], color=INK, linewidth=1.4)
        _name_extreme(axis, single[single["scheme"] == row.scheme], value, y)
        mark = axis.plot(value, y, style.marker, color=style.colour, ms=9, mec="white", mew=0.9)
        mark[0].set_gid(f"ratio:{row.scheme}")
        said = f"{digits(value)}×{marks(row)}"
        interval = f"  [{digits(low)}–{digits(high)}]" if np.isfinite(low) and low != high else ""
        axis.annotate(
            said, (1.02, y), xycoords=("axes fraction", "data"), va="center", fontsize=10, fontweight="bold"
        )
        axis.annotate(
            interval, (1.125, y), xycoords=("axes fraction", "data"), va="center", fontsize=8.5, color=SOFT
        )
    axis.set_xscale("log")
    low, high = table["ratio"].min(), max(table["ratio"].max(), whole["ratio_high"].max())
    axis.set_xlim(min(0.8, low / 1.15), max(2.0, high * 1.2))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    span = axis.get_xlim()
    steps = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if span[0] <= t <= span[1]]
    axis.set_xticks(steps)
    axis.set_yticks(range(len(order)), order, fontsize=10)
    axis.set_ylim(len(order) - 0.5, -0.5)
    axis.grid(visible=False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(f"median latency relative to {obs.REFERENCE} (log scale; left is faster)")
    return figure


def _name_extreme(axis: Axes, mine: pd.DataFrame, centre: float, y: int) -> None:
    """Say which workload lies farthest from the mean, where it lies far."""
    if not len(mine):
        return
    far = mine.sort_values("ratio", kind="stable").iloc[-1]
    if far["ratio"] > 1.4 * centre:
        axis.annotate(
            str(far["action"]),
            (far["ratio"], y),
            (0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color=SOFT,
        )


def finding(table: pd.DataFrame) -> str:
    """Which scheme is slowest and which cheapest, and by how much."""
    whole = table[table["action"] == _ALL]
    others = whole[whole["scheme"] != obs.REFERENCE]
    slow, fast = others.iloc[-1], others.iloc[0]
    said = f"Slowest: {slow['scheme']} at {_factor(slow)} {obs.REFERENCE}'s median latency"
    if len(others) > 1:
        said += f"; fastest beside {obs.REFERENCE}: {fast['scheme']} at {_factor(fast)}"
    between = [f"{row['scheme']} {_factor(row)}" for _, row in others.iloc[1:-1].iterrows()]
    said += f"; between: {', '.join(between)}" if between else ""
    sure = others["ratio_low"].notna()
    none = "no intervals: too few containers"
    intervals = (
        "95 % intervals" if sure.all() else "95 % intervals where containers suffice" if sure.any() else none
    )
    said += f" ({intervals}; geometric mean over {int(slow['workloads'])} workloads)."
    faster = [str(row["scheme"]) for _, row in others.iterrows() if row["ratio_high"] < 1]
    if faster:
        said += f" Surely faster than {obs.REFERENCE}, which asks for an explanation: {', '.join(faster)}."
    return said


def _factor(row: pd.Series[float]) -> str:
    sure = np.isfinite(row["ratio_low"])
    interval = f" [{digits(row['ratio_low'])}–{digits(row['ratio_high'])}]" if sure else ""
    return f"{digits(row['ratio'])} ×{interval}"
