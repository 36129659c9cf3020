"""Figures as files whose bytes depend on nothing but what is drawn."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from analysis.plotting.style import RC

_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
FORMATS = tuple(_METADATA)
_CANVASES = {"png": FigureCanvasAgg, "svg": FigureCanvasSVG, "pdf": FigureCanvasPdf}


def drawn(draw: Callable[[], Figure]) -> Figure:
    """Call a drawing function with the project's look, whatever the user's matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        figure = draw()
        # Lay out once, not once per file format.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        return figure


def render(figure: Figure, kind: str) -> bytes:
    """The figure as "png", "svg" or "pdf"."""
    buffer = io.BytesIO()
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        # Not Figure.savefig: it draws everything twice, the first time only for the layout.
        canvas: Any = _CANVASES[kind](figure)
        figure.set_dpi(RC["savefig.dpi"])
        getattr(canvas, f"print_{kind}")(buffer, metadata=_METADATA[kind])
    return buffer.getvalue()


def save_table(table: pd.DataFrame, stem: Path) -> None:
    """The figure's table as CSV (for people) and Parquet (for programs)."""
    table.to_csv(stem.with_suffix(".csv"), index=False)
    table.to_parquet(stem.with_suffix(".parquet"), index=False)
