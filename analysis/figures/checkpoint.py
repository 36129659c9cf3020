"""What taking the snapshot costs a new container, once."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis import observations as obs
from analysis import tables
from analysis.figures import FigureMeta
from analysis.figures.breakdown import draw_panel
from analysis.figures.restore import EXPERIMENTS
from analysis.frames import Frames
from analysis.plotting.canvas import figure_grid, footer, remove_unused, seconds
from analysis.statistics import estimate, mean

META = FigureMeta(
    name="checkpoint",
    title="Taking the checkpoint",
    question="How long does a new container take to remember its memory and its files?",
    reading="Mean over containers, as the kernel and the file reset service timed it; it is part of the "
    "initialisation of a cold start. Schemes that do not tell are not drawn.",
    order=65,
)
_COLUMNS = 3
_NS = 1e-9
PARTS = {"memory_s": "checkpoint_ns", "files_s": "file_checkpoint_ns"}
SEGMENTS: dict[str, dict[str, Any]] = {
    "memory_s": {"facecolor": "#c98f4e", "label": "memory"},
    "files_s": {"facecolor": "#6a9a6a", "label": "files"},
}


def checkpoints(frames: Frames) -> pd.DataFrame:
    """One row per container whose launcher told of its checkpoint, with the parts in seconds."""
    rows = obs.of_experiment(obs.requests(frames), *EXPERIMENTS)
    told = frames.restores[["activation_id", *PARTS.values()]].drop_duplicates("activation_id")
    rows = rows.merge(told[told["checkpoint_ns"].notna()], on="activation_id", validate="many_to_one")
    rows = rows.drop_duplicates("container")
    for part, name in PARTS.items():
        rows[part] = rows[name].astype("Float64").fillna(0.0).astype(float) * _NS
    rows["checkpoint_s"] = rows[list(PARTS)].sum(axis=1)
    return rows


def table(frames: Frames) -> pd.DataFrame:
    """Mean seconds per part and of the whole (`checkpoint_s`), per workload and scheme."""
    records: list[dict[str, object]] = []
    for key, part in obs.groups(checkpoints(frames), "action", "scheme"):
        records.append(
            {
                **key,
                "n": len(part),
                **{column: part[column].mean() for column in SEGMENTS},
                **tables.interval_columns("checkpoint_s", estimate(obs.sample(part, "checkpoint_s"), mean)),
            }
        )
    return tables.in_order(pd.DataFrame(records), frames)


def draw(table: pd.DataFrame, frames: Frames) -> Figure:
    """A panel per workload, a stacked bar per scheme."""
    rows = obs.of_experiment(obs.requests(frames), *EXPERIMENTS)
    schemes = frames.schemes(table["scheme"])
    actions = list(dict.fromkeys(table["action"]))
    columns = min(_COLUMNS, len(actions))
    lines = -(-len(actions) // columns)
    notes = [f"experiment {rows['experiment'].iloc[0]}"]
    if silent := frames.schemes(set(rows["scheme"]) - set(schemes)):
        notes.append(f"not told by {', '.join(silent)}")
    figure, axes = figure_grid(
        META,
        (lines, columns),
        (max(3.1 * columns, 7.2), (0.27 * len(schemes) + 0.85) * lines),
        footer=footer(frames, rows, *notes),
        legend=[Patch(**look) for look in SEGMENTS.values()],
        sharey=True,
    )
    for index, action in enumerate(actions):
        axis = axes[index // columns][index % columns]
        draw_panel(axis, table[table["action"] == action], schemes, SEGMENTS, "checkpoint_s")
        axis.set_title(action)
    for axis in axes[-1]:
        axis.set_xlabel("mean time of a checkpoint")
    remove_unused(axes, len(actions))
    return figure


def finding(table: pd.DataFrame) -> str:
    """The range of checkpoints."""
    if not len(table):
        return ""
    low, high = table["checkpoint_s"].min(), table["checkpoint_s"].max()
    return f"A checkpoint takes {seconds(float(low))} to {seconds(float(high))}."
