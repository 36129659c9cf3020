"""What does isolation add to a request when nothing else is going on?

One client sends a request, takes the reply, pauses, and sends the next: no queueing, and a scheme
that restores behind the reply has the pause to do it in. (`throughput` has the latency under load,
`saturation` what happens without the pause.)
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from bench.experiments.base import Bed, Cell, Experiment, Outcome, Settings, sweep
from bench.experiments.drive import one_action
from bench.plugins import Scheme, Workload


class Latency(Settings):
    """Requests per cell, of which the first are labelled warm-up."""

    requests: int = Field(50, ge=1)
    warmup: int = Field(3, ge=0)
    think_ms: int = Field(100, ge=0)


def plan(
    settings: Latency, schemes: Sequence[Scheme], workloads: Sequence[Workload], pool_mb: int
) -> list[Cell]:
    """Every scheme × workload × repetition."""
    return sweep("latency", settings, schemes, workloads, pool_mb)


def measure(cell: Cell, bed: Bed, settings: Latency) -> Outcome:
    """One action, one client."""
    return one_action(
        bed,
        cell,
        requests=settings.requests,
        warmup=settings.warmup,
        clients=1,
        think_s=settings.think_ms / 1000,
    )


EXPERIMENT = Experiment("latency", __doc__.splitlines()[0], Latency, plan, measure)
