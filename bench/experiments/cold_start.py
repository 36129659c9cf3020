"""What does a new container cost, before and in its first request?

Every request goes to an action of its own, so every one starts a container.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from bench.experiments.base import Bed, Cell, Experiment, Outcome, Settings, sweep
from bench.experiments.drive import copies, drive
from bench.load import schedule
from bench.plugins import Scheme, Workload


class ColdStart(Settings):
    """Containers started per cell, one after the other."""

    containers: int = Field(5, ge=1)
    think_ms: int = Field(200, ge=0)


def plan(
    settings: ColdStart, schemes: Sequence[Scheme], workloads: Sequence[Workload], pool_mb: int
) -> list[Cell]:
    """Every scheme × workload × repetition."""
    return sweep("cold_start", settings, schemes, workloads, pool_mb)


def measure(cell: Cell, bed: Bed, settings: ColdStart) -> Outcome:
    """One request to each of several copies of the action."""
    assert cell.workload is not None  # noqa: S101  (the plan makes no mix cells)
    with copies(bed, cell.scheme, cell.workload, cell, settings.containers) as names:
        calls = schedule.repeat(cell.workload.name, settings.containers)
        targets = {cell.workload.name: names}
        think_s = settings.think_ms / 1000
        return drive(bed, schedule.back_to_back(calls), targets, clients=1, think_s=think_s)


EXPERIMENT = Experiment("cold_start", __doc__.splitlines()[0], ColdStart, plan, measure)
