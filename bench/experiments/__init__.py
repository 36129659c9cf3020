"""One module per experiment: a question, its sweep, how load is applied, what is recorded.

A module here is an experiment when it has `EXPERIMENT`, an `Experiment`. No list needs an edit.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from bench.experiments.base import Bed, Cell, Experiment, Outcome, Settings

__all__ = ["Bed", "Cell", "Experiment", "Outcome", "Settings", "registry"]


@functools.cache
def registry() -> dict[str, Experiment]:
    """All experiments by name."""
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    found = [m.EXPERIMENT for m in modules if hasattr(m, "EXPERIMENT")]
    return {e.name: e for e in sorted(found, key=lambda e: e.name)}
