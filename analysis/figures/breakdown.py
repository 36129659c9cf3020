"""Where the time of a request goes: waiting, initialisation, run, the rest, and busy after the reply."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis import observations as obs
from analysis import tables
from analysis.figures import FigureMeta
from analysis.frames import Frames
from analysis.plotting.bars import stacked_rows
from analysis.plotting.canvas import figure_grid, footer, remove_unused, seconds
from analysis.statistics import estimate, mean

META = FigureMeta(
    name="breakdown",
    title="Where the time of a request goes",
    question="Mean time per request: waiting, initialisation, run, and busy after the reply",
    reading="Solid parts are what the client waits for and add up to the mean latency written beside "
    "each bar; the hatched part comes after the reply, when the container is not yet ready again.",
    order=30,
)
_COLUMNS = 3
#: A bar this many times longer than the next is cut.
_HIDING = 2.5
SEGMENTS: dict[str, dict[str, Any]] = {
    "rest_s": {"facecolor": "#dcdcdc", "label": "network, platform, late send"},
    "wait_s": {"facecolor": "#a3a3a3", "label": "wait for a container"},
    "init_s": {"facecolor": "#c98f4e", "label": "initialisation"},
    "run_s": {"facecolor": "#3c5a7d", "label": "run"},
    "busy_after_s": {
        "facecolor": "white",
        "edgecolor": "#3c5a7d",
        "hatch": "//////",
        "label": "busy after the reply",
    },
}


def table(frames: Frames) -> pd.DataFrame:
    """Mean seconds per part and of the whole (`latency_s`), over right answers in steady state."""
    rows = obs.of_experiment(obs.requests(frames), *obs.LATENCY_EXPERIMENTS)
    rows = rows[~rows["warmup"]].copy()
    inside = rows[["wait_s", "init_s", "run_s"]].sum(axis=1, min_count=3)
    rows["rest_s"] = (rows["latency_s"] - inside).clip(lower=0)
    records: list[dict[str, object]] = []
    for key, part in obs.groups(rows, "params", "action", "scheme"):
        good = part[part["ok"] & part["run_s"].notna()]
        if not len(good):
            continue
        whole = estimate(obs.sample(good, "latency_s"), mean)
        records.append(
            {
                **key,
                "n": len(good),
                "failed": int((~part["ok"]).sum()),
                "platform_bound": bool(part["platform_bound"].any()),
                **{column: good[column].mean() for column in SEGMENTS},
                **tables.interval_columns("latency_s", whole),
            }
        )
    return tables.in_order(pd.DataFrame(records), frames)


def draw(table: pd.DataFrame, frames: Frames) -> Figure:
    """A panel per workload and parameters, a stacked bar per scheme."""
    rows = obs.of_experiment(obs.requests(frames), *obs.LATENCY_EXPERIMENTS)
    schemes = frames.schemes(table["scheme"])
    panels = list(dict.fromkeys(zip(table["params"], table["action"], strict=True)))
    columns = min(_COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    segments = {c: look for c, look in SEGMENTS.items() if table[c].notna().any()}
    untold = sorted(set(table.loc[table["busy_after_s"].isna(), "scheme"]))
    notes = [f"experiment {rows['experiment'].iloc[0]}", "a bar with ▶ goes on beyond its panel"]
    if untold:
        notes.append(f"busy after the reply not measured for {', '.join(untold)}")
    figure, axes = figure_grid(
        META,
        (lines, columns),
        (max(3.1 * columns, 7.2), (0.27 * len(schemes) + 0.85) * lines),
        footer=footer(frames, rows, *notes),
        legend=[Patch(**{"linewidth": 0.5, **look}) for look in segments.values()],
        sharey=True,
    )
    several = len(set(table["params"])) > 1
    for index, (params, action) in enumerate(panels):
        axis = axes[index // columns][index % columns]
        part = table[(table["params"] == params) & (table["action"] == action)]
        draw_panel(axis, part, schemes, segments, "latency_s")
        axis.set_title(action + (f" ({obs.params_label(params)})" if several else ""))
    for axis in axes[-1]:
        axis.set_xlabel("mean time per request")
    remove_unused(axes, len(panels))
    return figure


def draw_panel(
    axis: Any, part: pd.DataFrame, schemes: list[str], segments: dict[str, dict[str, Any]], total: str
) -> None:
    """Stacked bars in the unit that fits the longest of them."""
    whole = part[list(segments)].sum(axis=1)
    longest = float(whole[whole <= cut_at(part, segments)].max())
    units = ((1.0, "s"), (1e3, "ms"), (1e6, "µs"))
    factor, unit = next(((f, u) for f, u in units if longest * f >= 1), units[-1])
    scaled = part.copy()
    lengths = [*segments, total, f"{total}_low", f"{total}_high"]
    scaled[lengths] = scaled[lengths] * factor
    text = dict(zip(part["scheme"], map(seconds, part[total]), strict=True))
    looks = {c: {k: v for k, v in look.items() if k != "label"} for c, look in segments.items()}
    cut = cut_at(part, segments) * factor
    stacked_rows(axis, scaled, schemes=schemes, segments=looks, total=total, text=text, cut=cut)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g} {unit}")
    axis.locator_params(axis="x", nbins=4)


def cut_at(part: pd.DataFrame, segments: dict[str, dict[str, Any]]) -> float:
    """Seconds beyond which a bar runs out of its panel, so that one scheme does not hide the others."""
    lengths = sorted(part[list(segments)].sum(axis=1), reverse=True)
    if len(lengths) > 2 and lengths[0] > _HIDING * lengths[1]:
        return 2 * float(lengths[1])
    return float("inf")


def finding(table: pd.DataFrame) -> str:
    """The scheme that hides most work behind the reply."""
    hidden = table.groupby("scheme")[["busy_after_s", "run_s"]].sum(min_count=1).dropna()
    if not len(hidden) or hidden["busy_after_s"].max() <= 0:
        return ""
    share = hidden["busy_after_s"] / (hidden["busy_after_s"] + hidden["run_s"])
    worst = str(share.idxmax())
    return (
        f"{worst} keeps its container busy after the reply for {share[worst]:.0%} of the time that it "
        "holds it, which latency alone does not show."
    )
