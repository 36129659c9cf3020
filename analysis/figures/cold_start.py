"""What a new container costs: creation, initialisation, first run."""

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
    name="cold_start",
    title="Cold start",
    question="How long does the first request to a new container take?",
    reading="Mean over cold activations: getting a container, initialisation of the function in it, and its "
    "first run. Schemes that prepare a snapshot pay for it here.",
    order=60,
)
EXPERIMENTS = ("cold_start", *obs.LATENCY_EXPERIMENTS, "memory")
_COLUMNS = 3
SEGMENTS: dict[str, dict[str, Any]] = {
    "wait_s": {"facecolor": "#a3a3a3", "label": "get a container"},
    "init_s": {"facecolor": "#c98f4e", "label": "initialisation"},
    "run_s": {"facecolor": "#3c5a7d", "label": "first run"},
}


def _rows(frames: Frames) -> pd.DataFrame:
    rows = obs.activations(frames)
    rows = obs.of_experiment(rows[rows["cold"]], *EXPERIMENTS).copy()
    rows["total_s"] = rows[list(SEGMENTS)].sum(axis=1)
    # Every cold start counts here: to be the first is what is measured, so "warm-up" has no meaning.
    return rows.drop(columns="warmup").rename(columns={"success": "ok"})


def table(frames: Frames) -> pd.DataFrame:
    """Mean seconds per part and of the whole (`total_s`) of successful cold activations."""
    records: list[dict[str, object]] = []
    for key, part in obs.groups(_rows(frames), "action", "scheme"):
        good = part[part["ok"]]
        if not len(good):
            continue
        records.append(
            {
                **key,
                "experiment": part["experiment"].iloc[0],
                "n": len(good),
                "failed": int((~part["ok"]).sum()),
                "platform_bound": bool(part["platform_bound"].any()),
                **{column: good[column].mean() for column in SEGMENTS},
                **tables.interval_columns("total_s", estimate(obs.sample(good, "total_s"), mean)),
            }
        )
    return tables.in_order(pd.DataFrame(records), frames)


def draw(table: pd.DataFrame, frames: Frames) -> Figure:
    """A panel per workload, a stacked bar per scheme."""
    rows = _rows(frames)
    schemes = frames.schemes(table["scheme"])
    actions = list(dict.fromkeys(table["action"]))
    columns = min(_COLUMNS, len(actions))
    lines = -(-len(actions) // columns)
    source = table["experiment"].iloc[0]
    note = f"experiment {source}" if source == "cold_start" else f"cold starts met in experiment {source}"
    figure, axes = figure_grid(
        META,
        (lines, columns),
        (max(3.1 * columns, 7.2), (0.27 * len(schemes) + 0.85) * lines),
        footer=footer(frames, rows, note, n="cold activations"),
        legend=[Patch(**look) for look in SEGMENTS.values()],
        sharey=True,
    )
    for index, action in enumerate(actions):
        axis = axes[index // columns][index % columns]
        draw_panel(axis, table[table["action"] == action], schemes, SEGMENTS, "total_s")
        axis.set_title(action)
    for axis in axes[-1]:
        axis.set_xlabel("mean time of a cold start")
    remove_unused(axes, len(actions))
    return figure


def finding(table: pd.DataFrame) -> str:
    """The range of cold starts."""
    by_time = table.sort_values("total_s", kind="stable")
    low, high = by_time.iloc[0], by_time.iloc[-1]
    if len(table) == 1:
        return f"A cold start takes {seconds(low['total_s'])} ({low['scheme']}, {low['action']})."
    return (
        f"A cold start takes between {seconds(low['total_s'])} ({low['scheme']}, {low['action']}) "
        f"and {seconds(high['total_s'])} ({high['scheme']}, {high['action']})."
    )
