"""How many requests does a pool of given size complete under the paper's request mix?

Open loop: arrivals of the mix come at their times whether or not earlier ones are answered, so a
scheme that keeps containers busy, large or few falls behind. Latency counts from the intended
arrival.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from bench.experiments.base import Bed, Cell, Experiment, Outcome, Settings
from bench.experiments.drive import actions, drive
from bench.load import schedule
from bench.plugins import Scheme, Workload


class Throughput(Settings):
    """Requests of the mix, their rate, and the pools to try."""

    requests: int = Field(200, ge=1)
    rate_per_s: float = Field(10.0, gt=0)
    pools_mb: list[int] = Field([1024, 2560, 4096, 8192], min_length=1)
    #: Requests in flight at once at the most; what arrives beyond them is dropped.
    users: int = Field(64, ge=1)


def plan(
    settings: Throughput, schemes: Sequence[Scheme], workloads: Sequence[Workload], _pool_mb: int
) -> list[Cell]:
    """Every scheme × pool size × repetition."""
    if not any(w.spec.mix_weight for w in workloads):
        return []
    cells = []
    for scheme in filter(settings.takes, schemes):
        own = settings.of(scheme.name)
        cells += [
            Cell("throughput", scheme, None, {"pool_mb": pool, "rate_per_s": own.rate_per_s}, number, pool)
            for pool in own.pools_mb
            for number in range(own.repetitions)
        ]
    return cells


def measure(cell: Cell, bed: Bed, settings: Throughput) -> Outcome:
    """All workloads of the mix as actions, one schedule for every scheme."""
    chosen = [w for w in bed.workloads if not settings.workloads or w.name in settings.workloads]
    mixed = [w for w in chosen if w.spec.mix_weight]
    with actions(bed, cell.scheme, mixed, cell) as names:
        seed = bed.seed + cell.repetition  # the same arrivals for every scheme, or the first of them
        weights = {w.name: w.spec.mix_weight for w in mixed}
        calls = schedule.mix(weights, settings.requests, seed)
        arrivals = schedule.poisson(calls, settings.rate_per_s, seed)
        return drive(bed, arrivals, names, users=settings.users)


EXPERIMENT = Experiment("throughput", __doc__.splitlines()[0], Throughput, plan, measure)
