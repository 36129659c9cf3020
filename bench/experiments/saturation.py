"""Is the cost of isolation hidden behind the reply?

Clients send the next request the moment they have the reply, so work done after a reply delays the
next one. The container's busy time after the reply is recorded beside the latency.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from bench.experiments.base import Bed, Cell, Experiment, Outcome, Settings, sweep
from bench.experiments.drive import one_action
from bench.plugins import Scheme, Workload


class Saturation(Settings):
    """Requests per cell, sent back to back."""

    requests: int = Field(100, ge=1)
    warmup: int = Field(3, ge=0)
    clients: int = Field(1, ge=1)


def plan(
    settings: Saturation, schemes: Sequence[Scheme], workloads: Sequence[Workload], pool_mb: int
) -> list[Cell]:
    """Every scheme × workload × repetition."""
    return sweep("saturation", settings, schemes, workloads, pool_mb)


def measure(cell: Cell, bed: Bed, settings: Saturation) -> Outcome:
    """One action, clients without a pause."""
    return one_action(
        bed, cell, requests=settings.requests, warmup=settings.warmup, clients=settings.clients, think_s=0.0
    )


EXPERIMENT = Experiment("saturation", __doc__.splitlines()[0], Saturation, plan, measure)
