"""Can a request get back what an earlier one hid in its container?

A channel (bench/audit/probe) is a pair of requests: one hides a secret, one looks for it, at once and again
after more requests. See docs/audit.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, field_validator

from bench.audit import channels
from bench.audit.pack import PROBE, probe_code
from bench.audit.sequence import REQUEST_S, Prober
from bench.experiments.base import Bed, Cell, Experiment, Outcome, Settings
from bench.experiments.drive import FRESH
from bench.plugins import Scheme, Workload, WorkloadSpec
from bench.store.rows import AuditRow

#: Both the action's memory and the pool's: there is only ever one container.
MEMORY_MB = 256
LABEL = "rewind-bench.launcher-user"
#: What runs in the container instead of a workload.
WORKLOAD = Workload("probe", PROBE, WorkloadSpec(summary="the audit's probes", origin="", sizes={}))


class Audit(Settings):
    """Which channels: names of channels, of families, "core" or "all"."""

    channels: tuple[str, ...] = Field((channels.ALL,), min_length=1)
    #: A channel is looked at with so many requests since its plant.
    looks: tuple[Annotated[int, Field(ge=0, le=100)], ...] = Field((0, 1, 2, 5), min_length=1)

    @field_validator("channels")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        wrong = channels.unknown(names)
        if wrong:
            raise ValueError(f"no such channel, family or selection: {', '.join(wrong)}")
        return names


def plan(
    settings: Audit, schemes: Sequence[Scheme], _workloads: Sequence[Workload], _pool_mb: int
) -> list[Cell]:
    """Every scheme × family of channels × repetition."""
    return [
        Cell("audit", scheme, WORKLOAD, {"family": family}, repetition, MEMORY_MB)
        for scheme in schemes
        if not settings.schemes or scheme.name in settings.schemes
        for family in _families(settings.of(scheme.name))
        for repetition in range(settings.of(scheme.name).repetitions)
    ]


def _families(settings: Audit) -> list[str]:
    return list(dict.fromkeys(info.family for info in channels.select(settings.channels)))


def measure(cell: Cell, bed: Bed, settings: Audit) -> Outcome:
    """Probe the family's channels; what they show is judged from the recorded rows.

    Where a scheme refuses to start with what channels prepare, they are divided until it is known which.
    """
    image = bed.images[cell.scheme.runtime]
    user = bed.host.docker().images.get(image).labels.get(LABEL, "")
    chosen = [c for c in channels.select(settings.channels) if c.family == cell.params["family"]]
    rows: list[AuditRow] = []
    waiting = channels.groups(chosen)
    numbers = itertools.count()
    while waiting:
        group = waiting.pop(0)
        name = f"audit-{cell.scheme.name}-{cell.params['family']}-r{cell.repetition}-{next(numbers)}"
        bed.client.put_action(
            name,
            image=image,
            code=probe_code(group),
            memory_mb=MEMORY_MB,
            timeout_ms=min(300_000, round(REQUEST_S * 1000 * bed.slowdown)),
            annotations={FRESH: True} if cell.scheme.spec.fresh_container else {},
        )
        prober = Prober(bed.client, name, cell.scheme, user, bed.slowdown, settings.looks)
        try:
            refusal = prober.refusal()
            if refusal and len(group) > 1:
                middle = len(group) // 2
                waiting[:0] = [group[:middle], group[middle:]]
            elif refusal:
                rows.append(prober.not_started(group[0], refusal))
            else:
                for channel in group:
                    rows += prober.probe(channel)
        finally:
            bed.client.delete_action(name, missing_ok=True)
    return Outcome(rows={"audit": rows}, requests=len(rows))


EXPERIMENT = Experiment("audit", __doc__.splitlines()[0], Audit, plan, measure)
