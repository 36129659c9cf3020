"""One module per figure; a module is registered by being here.

A figure module has

- `META`, a FigureMeta;
- `table(frames)`, the figures that are drawn (an empty frame: not measured);
- `draw(table, frames)`, the drawing of a table that is not empty;
- `finding(table)`, one sentence for the top of the report, "" if there is none.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import Protocol, cast

import pandas as pd
from matplotlib.figure import Figure

from analysis.frames import Frames


@dataclass(frozen=True)
class FigureMeta:
    """What a figure is called and how to read it; `order` sorts the report."""

    name: str
    title: str
    question: str
    reading: str
    order: int


class FigureModule(Protocol):
    """What each module of this package offers."""

    META: FigureMeta

    def table(self, frames: Frames) -> pd.DataFrame:
        """The figures that are drawn."""

    def draw(self, table: pd.DataFrame, frames: Frames) -> Figure:
        """The drawing."""

    def finding(self, table: pd.DataFrame) -> str:
        """One sentence, or nothing."""


def all_figures() -> list[FigureModule]:
    """Every figure there is, in the report's order."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    found = [cast("FigureModule", importlib.import_module(f"{__name__}.{name}")) for name in names]
    return sorted(found, key=lambda module: (module.META.order, module.META.name))
