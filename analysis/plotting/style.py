"""Colours and markers per scheme, and the look that all figures share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from analysis.observations import REFERENCE

INK = "#222222"
SOFT = "#666666"
GRID = "#dddddd"
REFERENCE_COLOUR = "#4d4d4d"

#: Okabe and Ito's colours without the yellow (too pale on paper), then two of Tol's.
_PALETTE = ("#d55e00", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#882255", "#999933")
_MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (6, 2, 2, 2)))
#: Spreads the usual scheme names over the palette without a clash; any value would be right.
_SALT = "11772:"

RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "rewind-bench",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "figure.dpi": 100,
    "savefig.dpi": 160,
}


@dataclass(frozen=True)
class SchemeStyle:
    """How one scheme is drawn everywhere."""

    colour: str
    marker: str
    dash: Any


def scheme_styles(names: Iterable[str]) -> dict[str, SchemeStyle]:
    """A style per scheme, the same in every run that has the same or fewer schemes.

    Schemes are folders, so no list of them can be kept here: the slot follows from the name, and
    names that ask for one slot get the next free one in name order. The reference is always grey.
    """
    styles: dict[str, SchemeStyle] = {}
    taken: set[int] = set()
    for name in sorted(set(names)):
        if name == REFERENCE:
            styles[name] = SchemeStyle(REFERENCE_COLOUR, "o", "-")
            continue
        if len(taken) == len(_PALETTE):
            taken.clear()
        slot = hashlib.sha256((_SALT + name).encode()).digest()[0] % len(_PALETTE)
        while slot in taken:
            slot = (slot + 1) % len(_PALETTE)
        taken.add(slot)
        styles[name] = SchemeStyle(_PALETTE[slot], _MARKERS[slot], _DASHES[slot])
    return styles
