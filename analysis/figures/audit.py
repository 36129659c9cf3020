"""The audit's matrix: which channel leaks under which scheme."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from analysis import observations as obs
from analysis import verdicts
from analysis.figures import FigureMeta
from analysis.frames import Frames
from analysis.plotting.canvas import figure_grid, footer
from analysis.plotting.style import INK, SOFT

META = FigureMeta(
    name="audit",
    title="Isolation audit",
    question="Can a request get back what an earlier one hid in the same container?",
    reading="A row is a channel: one request hides a secret, later ones look for it, at once and again after "
    "more requests. Pale rows: the channel is closed even without isolation, so it says nothing.",
    order=20,
)
COLOURS = {
    "leaks": "#c1272d",
    "left": "#e9a3a0",
    "retired": "#f0c75e",
    "refused": "#9db8d2",
    "clean": "#4f9d69",
    "broken": "#000000",
}
WORDS = {
    "leaks": "leaks",
    "left": "leaks, and the scheme says so",
    "retired": "container retired",
    "refused": "planting refused",
    "clean": "clean",
    "broken": "broken probe",
}
_COLUMNS = 3
_ROW_IN = 0.135


def table(frames: Frames) -> pd.DataFrame:
    """Verdict and evidence per launcher user, channel and scheme; `shown` is the verdict as drawn."""
    found = verdicts.verdicts(frames).copy()
    left = (found["verdict"] == verdicts.LEAKS) & (found["claim"] == "left")
    found["shown"] = found["verdict"].where(~left, "left")
    return found


def draw(table: pd.DataFrame, frames: Frames) -> Figure:
    """Channels by family in columns, a square per scheme and launcher user."""
    rows = _rows(table)
    heads = [
        (str(u), str(s)) for u in sorted(set(table["launcher_user"])) for s in frames.schemes(table["scheme"])
    ]
    columns = _balanced(rows)
    tallest = max(len(column) for column in columns)
    seen = [name for name in WORDS if name in set(table["shown"])]
    figure, [axes] = figure_grid(
        META,
        (1, len(columns)),
        (3.5 * len(columns), _ROW_IN * tallest + 0.9),
        footer=footer(frames, obs.audit(frames), *_notes(table)),
        legend=[Patch(facecolor=COLOURS[name], label=WORDS[name]) for name in seen],
    )
    cells: dict[tuple[str, ...], Mapping[Any, Any]] = {
        (str(row["launcher_user"]), str(row["scheme"]), str(row["channel"])): row
        for row in table.to_dict("records")
    }
    users = len(set(table["launcher_user"])) > 1
    for axis, column in zip(axes, columns, strict=True):
        labels = [f"{scheme} ({user})" if users else scheme for user, scheme in heads]
        axis.set_xticks(range(len(heads)), labels, rotation=60, ha="left", fontsize=8)
        axis.xaxis.tick_top()
        axis.tick_params(length=0)
        _draw_column(axis, column, heads, cells)
        axis.set_xlim(-0.5, len(heads) - 0.5)
        axis.set_ylim(tallest - 0.5, -0.5)
        axis.grid(visible=False)
        for spine in axis.spines.values():
            spine.set_visible(False)
    return figure


def _draw_column(
    axis: Axes,
    column: list[tuple[str, str]],
    heads: list[tuple[str, str]],
    cells: Mapping[tuple[str, ...], Mapping[Any, Any]],
) -> None:
    axis.set_yticks(range(len(column)), [channel or family for family, channel in column], fontsize=7)
    for y, ((_, channel), label) in enumerate(zip(column, axis.get_yticklabels(), strict=True)):
        if not channel:
            label.set(fontweight="bold", fontsize=8, color=INK)
            continue
        label.set_color(SOFT)
        for x, head in enumerate(heads):
            cell = cells.get((*head, channel))
            if cell is not None:
                alpha = 1.0 if cell["counts"] else 0.3
                colour = COLOURS[str(cell["shown"])]
                mark = Rectangle((x - 0.45, y - 0.42), 0.9, 0.84, facecolor=colour, alpha=alpha, linewidth=0)
                axis.add_patch(mark)


def _rows(table: pd.DataFrame) -> list[tuple[str, str]]:
    """(family, channel) with a heading (family, "") before each family."""
    rows: list[tuple[str, str]] = []
    for family, part in table.groupby("family", sort=True):
        rows += [(str(family), ""), *((str(family), str(name)) for name in dict.fromkeys(part["channel"]))]
    return rows


def _balanced(rows: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """The rows in columns of about equal height; a family that is cut gets its heading again."""
    height = -(-len(rows) // _COLUMNS)
    columns: list[list[tuple[str, str]]] = []
    for start in range(0, len(rows), height):
        column = rows[start : start + height]
        if column[0][1]:
            column = [(column[0][0], ""), *column]
        columns.append(column)
    return columns


def _notes(table: pd.DataFrame) -> list[str]:
    users = ", ".join(sorted(set(table["launcher_user"])))
    counting = table.drop_duplicates(["launcher_user", "channel"])["counts"]
    said = f"{int(counting.sum())} of {len(counting)} channels leak without isolation and count"
    return [f"launcher user {users}", said]


def finding(table: pd.DataFrame) -> str:
    """Leaks per isolating scheme."""
    counted = table[table["counts"] & (table["claim"] != "none")]
    parts = []
    for scheme in dict.fromkeys(counted["scheme"]):
        mine = counted[counted["scheme"] == scheme]["shown"]
        leaks, left, retired = (int((mine == name).sum()) for name in ("leaks", "left", "retired"))
        said = f"{scheme} leaks {leaks + left} of {len(mine)} channels"
        said += f" ({leaks} of them without saying so)" if leaks else ""
        parts.append(said + (f" and retires the container in {retired}" if retired else ""))
    return f"Isolation audit: {'; '.join(parts)}." if parts else ""
