"""The command line as a user has it, in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit status."""

    status: int
    text: str


def command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "bench", *words]


def run(
    *words: str,
    timeout_s: float = 1200,
    env: dict[str, str] | None = None,
    cwd: Path = ROOT,
    around: Sequence[str] = (),
) -> Said:
    """Run `rewind-bench WORDS` of the checkout `cwd` to its end, by the command `around` if there is one.

    Its output goes to pytest's capture as well.
    """
    done = subprocess.run(
        [*around, *command(words)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(cwd), **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    print(done.stdout)
    return Said(done.returncode, done.stdout)


def start(*words: str, log: Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start it and go on."""
    with log.open("wb") as out:
        return subprocess.Popen(
            command(words), cwd=ROOT, stdout=out, stderr=out, env={**os.environ, **(env or {})}
        )


def copied_checkout(root: Path) -> Path:
    """A copy of the project to change, without what only a checkout or a user's machine has."""
    needless = shutil.ignore_patterns("__pycache__", ".*", "results", "docs", "tests", "*.egg-info")
    return Path(shutil.copytree(ROOT, root, ignore=needless))


def the_run(folder: Path) -> Path:
    """The only run below a folder."""
    (found,) = [path for path in folder.iterdir() if (path / "manifest.json").is_file()]
    return found


def cells(run_folder: Path, kind: str = "cells") -> dict[str, dict]:
    """Path -> record of all finished (or failed) cells."""
    root = run_folder / kind
    return {str(p.parent.relative_to(root)): json.loads(p.read_text()) for p in root.rglob("cell.json")}
