"""Make figures/ and report.html of a run from what its folder holds."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import jinja2
import pandas as pd

from analysis import tables
from analysis.figures import FigureMeta, FigureModule, all_figures
from analysis.frames import Frames, load
from analysis.plotting.save import FORMATS, drawn, render, save_table
from analysis.report import facts
from bench.store.files import replace_file, typed_errors

#: Above this an SVG costs the reader more than the same figure as PNG.
_MAX_SVG_BYTES = 400_000
#: The one line in which two reports of a run differ starts with this.
STAMP = "Report written"


@dataclass(frozen=True)
class Panel:
    """A figure as the report shows it; no source means "not measured"."""

    meta: FigureMeta
    finding: str
    source: str
    problem: str = ""


def write(run_dir: Path, *, draft: bool = False) -> Path:
    """Write RUN/report.html and RUN/figures/; returns the report's path.

    A draft draws only what the report embeds, and is meant for refreshing while a run goes on;
    without it every figure is also saved as PNG, SVG and PDF. Works on unfinished runs. Two
    reports of one run are equal except for the line that starts with `STAMP`.
    UserError when the folder holds no run or a damaged one.
    """
    frames = load(run_dir)
    folder = run_dir / "figures"
    with typed_errors(folder):
        folder.mkdir(exist_ok=True)
    panels = [_panel(module, frames, folder, draft=draft) for module in all_figures()]
    summary = tables.latency(frames)
    with typed_errors(folder):
        save_table(summary, folder / "summary")
    path = run_dir / "report.html"
    replace_file(path, _html(frames, panels).encode())
    return path


def _panel(module: FigureModule, frames: Frames, folder: Path, *, draft: bool) -> Panel:
    try:
        table = module.table(frames)
        if not len(table):
            return Panel(module.META, "", "")
        with typed_errors(folder):
            save_table(table, folder / module.META.name)
        return Panel(module.META, module.finding(table), _drawing(module, table, frames, folder, draft=draft))
    except (ValueError, KeyError, IndexError, TypeError, ArithmeticError) as error:
        # A figure that a strange run breaks must not take the others with it; it is said, not hidden.
        return Panel(module.META, "", "", f"{type(error).__name__}: {error}")


def _drawing(module: FigureModule, table: pd.DataFrame, frames: Frames, folder: Path, *, draft: bool) -> str:
    figure = drawn(lambda: module.draw(table, frames))
    made: dict[str, bytes] = {}
    for kind in ("svg",) if draft else FORMATS:
        made[kind] = render(figure, kind)
        replace_file(folder / f"{module.META.name}.{kind}", made[kind])
    if len(made["svg"]) <= _MAX_SVG_BYTES:
        return _data_uri("image/svg+xml", made["svg"])
    return _data_uri("image/png", made.get("png") or render(figure, "png"))


def _data_uri(kind: str, content: bytes) -> str:
    # An image of its own: identifiers inside two SVGs of one page would clash.
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _html(frames: Frames, panels: Sequence[Panel]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    findings = [panel.finding for panel in panels if panel.finding]
    return environment.get_template("report.html.j2").render(
        run=frames.manifest.run,
        stamp=f"{STAMP} {html.escape(datetime.now(UTC).isoformat(timespec='seconds'))}",
        status=facts.status(frames),
        complete=bool(frames.manifest.ended)
        and not len(frames.failed)
        and len(frames.finished) >= frames.manifest.planned_cells,
        manifest=frames.manifest,
        testbed=frames.manifest.testbed,
        findings=[*findings, facts.failures_finding(frames)],
        panels=panels,
        summaries=facts.summaries(frames),
        failed_cells=facts.failed_cells(frames),
        failed_invocations=facts.failed_invocations(frames),
        machine=facts.machine(frames),
        builds=facts.builds(frames),
        stages=facts.stages(frames),
        profile=facts.profile_text(frames),
        boots=len({boot for boot in frames.finished["boot_id"] if boot}),
    )
