"""Which runs are in hand: containers that carry their label are left to them by `clean`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from bench.hosts.leftovers import created
from bench.paths import state_dir


@contextlib.contextmanager
def announced(run: str) -> Iterator[None]:
    """Say for the length of the block that this process has a run in hand."""
    note = _folder() / f"{run}.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    own = os.getpid()
    note.write_text(json.dumps({"pid": own, "started_unix_s": created(own)}) + "\n")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def in_hand() -> set[str]:
    """Labels of the runs whose harness lives; notes of others are removed."""
    found = set()
    for note in _folder().glob("*.json"):
        if _lives(note):
            found.add(note.stem)
        else:
            note.unlink(missing_ok=True)
    return found


def _folder() -> Path:
    return state_dir() / "runs"


def _lives(note: Path) -> bool:
    with contextlib.suppress(OSError, ValueError, KeyError):
        said = json.loads(note.read_text())
        return bool(created(said["pid"]) == said["started_unix_s"])
    return False
