"""Adds the manager to the image."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.build.cprogram import static_program
from bench.build.step import Work

SOURCES = Path(__file__).parent / "src"
BINARY = "snapshotter"


def fill(work: Work, target: Path) -> None:
    """Put the static binary `snapshotter` beside launcher.py."""
    shutil.rmtree(target / "src", ignore_errors=True)
    sources = [path for path in SOURCES.iterdir() if path.suffix in (".c", ".h")]
    static_program(work, sources, target / BINARY)
