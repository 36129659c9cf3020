"""Adds `permit`, by which the compile step has the kernel allow the launcher to checkpoint itself."""

from __future__ import annotations

from pathlib import Path

from bench.build.cprogram import static_program
from bench.build.step import Work
from bench.paths import RUNTIMES


def fill(work: Work, target: Path) -> None:
    """Put the static binary `permit` beside launcher.py."""
    static_program(work, [RUNTIMES / "common" / "permit.c"], target / "permit")
