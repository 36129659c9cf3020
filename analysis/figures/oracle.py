"""The oracle: in how many requests something was altered by another request."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis import observations as obs
from analysis.figures import FigureMeta
from analysis.frames import Frames
from analysis.plotting.canvas import figure_grid, footer
from analysis.plotting.style import INK

META = FigureMeta(
    name="oracle",
    title="Correctness oracle",
    question="Wrong answers of all, when every request damages what the next one computes from",
    reading="Each request alters globals, the workload's input objects, random state, working folder, a "
    "descriptor and files after its work. The scheme without isolation must fail; that is the control.",
    order=21,
)
_WRONG, _RIGHT = "#c1272d", "#4f9d69"


def table(frames: Frames) -> pd.DataFrame:
    """Requests, wrong answers and requests with anything altered per scheme and workload."""
    records: list[dict[str, object]] = []
    for scheme in frames.schemes(frames.oracle["scheme"]):
        mine = frames.oracle[frames.oracle["scheme"] == scheme]
        for workload in frames.workloads(mine["workload"]):
            rows = mine[mine["workload"] == workload]
            aspects = sorted({name for text in rows["altered"] for name in text.split(",") if name})
            records.append(
                {
                    "scheme": scheme,
                    "workload": workload,
                    "requests": len(rows),
                    "wrong": int((rows["wrong"] != "").sum()),
                    "altered": int((rows["altered"] != "").sum()),
                    "aspects": ", ".join(aspects),
                }
            )
    return pd.DataFrame(records, columns=["scheme", "workload", "requests", "wrong", "altered", "aspects"])


def draw(table: pd.DataFrame, frames: Frames) -> Figure:
    """A square per scheme and workload with its counts."""
    schemes, workloads = frames.schemes(table["scheme"]), frames.workloads(table["workload"])
    figure, [[axis]] = figure_grid(
        META,
        (1, 1),
        (max(7.2, 1.0 + 0.95 * len(workloads)), 0.36 * len(schemes) + 0.5),
        footer=footer(frames, obs.oracle(frames)),
    )
    for row in table.itertuples():
        x, y = workloads.index(str(row.workload)), schemes.index(str(row.scheme))
        colour = _WRONG if row.wrong else _RIGHT
        axis.add_patch(Rectangle((x - 0.47, y - 0.44), 0.94, 0.88, facecolor=colour, alpha=0.3, linewidth=0))
        text = f"{row.wrong} / {row.requests}"
        axis.text(x, y, text, ha="center", va="center", fontsize=8.5, color=INK)
    axis.set_xticks(range(len(workloads)), workloads)
    axis.set_yticks(range(len(schemes)), schemes)
    axis.set_xlim(-0.5, len(workloads) - 0.5)
    axis.set_ylim(len(schemes) - 0.5, -0.5)
    axis.grid(visible=False)
    axis.tick_params(length=0)
    return figure


def finding(table: pd.DataFrame) -> str:
    """Wrong answers per scheme."""
    sums = table.groupby("scheme", sort=False)[["wrong", "requests"]].sum()
    parts = [f"{scheme} {int(row['wrong'])} of {int(row['requests'])}" for scheme, row in sums.iterrows()]
    return f"Oracle, wrong answers: {', '.join(parts)}."
