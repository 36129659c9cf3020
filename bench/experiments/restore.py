"""What does putting a container back consist of, and what is each of the kernel's ways to save worth?

One client with a pause, as in `latency`, for schemes that tell the parts of each restore: the whole and
its ablations. Their own telling adds to the time after the reply, so that is not compared with others'.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from bench.experiments.base import Bed, Cell, Experiment, Outcome, Settings, sweep
from bench.experiments.drive import one_action
from bench.plugins import Scheme, Workload


class Restore(Settings):
    """Requests per cell, of which the first are labelled warm-up."""

    requests: int = Field(20, ge=1)
    warmup: int = Field(3, ge=0)
    think_ms: int = Field(100, ge=0)


def plan(
    settings: Restore, schemes: Sequence[Scheme], workloads: Sequence[Workload], pool_mb: int
) -> list[Cell]:
    """Every scheme × workload × repetition."""
    return sweep("restore", settings, schemes, workloads, pool_mb)


def measure(cell: Cell, bed: Bed, settings: Restore) -> Outcome:
    """One action, one client."""
    return one_action(
        bed,
        cell,
        requests=settings.requests,
        warmup=settings.warmup,
        clients=1,
        think_s=settings.think_ms / 1000,
    )


EXPERIMENT = Experiment("restore", __doc__.splitlines()[0], Restore, plan, measure)
