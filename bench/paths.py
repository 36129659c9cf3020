"""Where the project's own files and the cache are."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "configs"
KERNEL = ROOT / "kernel"
RUNTIMES = ROOT / "runtimes"
WORKLOADS = ROOT / "workloads"
RESULTS = ROOT / "results"


def cache_dir() -> Path:
    """The build cache: `$REWIND_BENCH_CACHE`, else `$XDG_CACHE_HOME/rewind-bench`."""
    own = os.environ.get("REWIND_BENCH_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "rewind-bench"


def state_dir() -> Path:
    """What a `kill -9` may leave behind and `clean` looks for: pid files, sockets, overlays."""
    return cache_dir() / "state"
