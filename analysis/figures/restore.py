"""What a container does between a reply and being ready again, part by part."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis import observations as obs
from analysis import tables
from analysis.figures import FigureMeta
from analysis.figures.breakdown import draw_panel
from analysis.frames import Frames
from analysis.plotting.canvas import figure_grid, footer, remove_unused, seconds
from analysis.statistics import estimate, mean

META = FigureMeta(
    name="restore",
    title="What a restore consists of",
    question="Mean time from a reply to the container's word that it is ready, by what it is spent on",
    reading="Coloured parts are as the kernel and the file reset service timed them; the light part is all "
    "else: the launcher, its new seeds, the pipes, and the whole restore of schemes that tell no parts.",
    order=35,
)
_COLUMNS = 3
#: The first of these that was run: the restores of one experiment.
EXPERIMENTS = ("restore", "latency", "saturation")
_NS = 1e-9
#: Part -> columns of the restores table that it is made of.
PARTS: dict[str, tuple[str, ...]] = {
    "threads_s": ("rendezvous_ns",),
    "regions_s": ("vma_ns",),
    "pages_s": ("pages_ns", "flush_ns"),
    "blanks_s": ("regions_ns",),
    "descriptors_s": ("files_ns",),
    "files_s": ("file_reset_ns",),
}
SEGMENTS: dict[str, dict[str, Any]] = {
    "threads_s": {"facecolor": "#3c5a7d", "label": "threads"},
    "regions_s": {"facecolor": "#7d9bbd", "label": "regions"},
    "pages_s": {"facecolor": "#c98f4e", "label": "pages and TLB"},
    "blanks_s": {"facecolor": "#e3c79f", "label": "blank pages"},
    "descriptors_s": {"facecolor": "#8a6f9e", "label": "descriptors, signals"},
    "files_s": {"facecolor": "#6a9a6a", "label": "files"},
    "rest_s": {"facecolor": "#dcdcdc", "label": "all else"},
}


def restores(frames: Frames) -> pd.DataFrame:
    """Every measured request that was followed by a restore, with its parts in seconds (0: not told)."""
    rows = obs.of_experiment(obs.requests(frames), *EXPERIMENTS)
    rows = rows[~rows["warmup"] & rows["ok"] & rows["busy_after_s"].notna()]
    wanted = sorted({name for names in PARTS.values() for name in names})
    told = frames.restores[["activation_id", *wanted]].drop_duplicates("activation_id")
    rows = rows.merge(told, on="activation_id", how="left", validate="many_to_one")
    for part, names in PARTS.items():
        rows[part] = rows[list(names)].astype("Float64").fillna(0.0).sum(axis=1).astype(float) * _NS
    rows["rest_s"] = (rows["busy_after_s"] - rows[list(PARTS)].sum(axis=1)).clip(lower=0)
    return rows


def table(frames: Frames) -> pd.DataFrame:
    """Mean seconds per part and of the whole (`restore_s`), per parameters, workload and scheme."""
    records: list[dict[str, object]] = []
    for key, part in obs.groups(restores(frames), "params", "action", "scheme"):
        records.append(
            {
                **key,
                "n": len(part),
                "told": bool((part[list(PARTS)].sum(axis=1) > 0).any()),
                **{column: part[column].mean() for column in SEGMENTS},
                **tables.interval_columns("restore_s", estimate(obs.sample(part, "busy_after_s"), mean)),
            }
        )
    return tables.in_order(pd.DataFrame(records), frames)


def draw(table: pd.DataFrame, frames: Frames) -> Figure:
    """A panel per workload, a stacked bar per scheme."""
    rows = obs.of_experiment(obs.requests(frames), *EXPERIMENTS)
    schemes = frames.schemes(table["scheme"])
    panels = list(dict.fromkeys(zip(table["params"], table["action"], strict=True)))
    columns = min(_COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    notes = [f"experiment {rows['experiment'].iloc[0]}", "a bar with ▶ goes on beyond its panel"]
    silent = frames.schemes(set(rows["scheme"]) - set(schemes))
    if silent:
        notes.append(f"no restore: {', '.join(silent)}")
    whole = frames.schemes(table.loc[~table["told"], "scheme"])
    if whole:
        notes.append(f"tells no parts: {', '.join(whole)}")
    figure, axes = figure_grid(
        META,
        (lines, columns),
        (max(3.1 * columns, 7.2), (0.27 * len(schemes) + 0.85) * lines),
        footer=footer(frames, rows, *notes),
        legend=[Patch(**{"linewidth": 0.5, **look}) for look in SEGMENTS.values()],
        sharey=True,
    )
    several = len(set(table["params"])) > 1
    for index, (params, action) in enumerate(panels):
        axis = axes[index // columns][index % columns]
        part = table[(table["params"] == params) & (table["action"] == action)]
        draw_panel(axis, part, schemes, SEGMENTS, "restore_s")
        axis.set_title(action + (f" ({obs.params_label(params)})" if several else ""))
    for axis in axes[-1]:
        axis.set_xlabel("mean time after the reply")
    remove_unused(axes, len(panels))
    return figure


def finding(table: pd.DataFrame) -> str:
    """The largest part of a restore that tells its parts."""
    told = table[table["told"]]
    if not len(told):
        return ""
    means = told.groupby("scheme")[[*SEGMENTS]].mean()
    scheme = str(means.index[-1])
    parts = {name: means[name].to_list()[-1] for name in SEGMENTS}
    whole = sum(parts.values())
    largest = max(parts, key=lambda name: parts[name])
    label = SEGMENTS[largest]["label"]
    return (
        f"Of {scheme}'s restores, {seconds(whole)} in the mean, most goes to {label}: "
        f"{parts[largest] / whole:.0%}."
    )
