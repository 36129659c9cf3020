"""Estimates with confidence intervals that respect how the data came about.

Requests served by one container, and containers of one boot, are alike; treating each request as
independent makes intervals far too narrow. So the bootstrap draws boots, and within each drawn boot
containers, with replacement; all requests of a drawn container come along (Davison & Hinkley 1997,
section 3.8). With one boot only containers are drawn: variance between boots is then not covered.

Percentile intervals of few clusters are too narrow as well; the quantiles are expanded for the
number of clusters by Student's t (Hesterberg 2015, "What Teachers Should Know About the Bootstrap").
Every result is a pure function of its arguments, the seed included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVEL = 0.95
RESAMPLES = 1000
#: Fewer clusters than this say nothing about their variance: no interval.
MIN_CLUSTERS = 3

#: (sorted values, how often each was drawn in each resample) -> one figure per resample.
Statistic = Callable[[Floats, Ints], Floats]


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval (NaN when the data allow none) and what it rests on."""

    value: float
    low: float
    high: float
    n: int
    containers: int
    boots: int

    @property
    def has_interval(self) -> bool:
        """False: too few containers to say how sure this is."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


NOTHING = Estimate(np.nan, np.nan, np.nan, 0, 0, 0)


@dataclass(frozen=True)
class Sample:
    """Values with the boot and the container that each came from."""

    values: Floats
    boots: npt.NDArray[Any]
    containers: npt.NDArray[Any]

    @classmethod
    def of(cls, values: Any, boots: Any, containers: Any) -> Sample:
        """From any sequences of one length; sorted by value."""
        array = np.asarray(values, dtype=np.float64)
        order = np.argsort(array, kind="stable")
        boot, container = (
            np.asarray(labels, dtype=object).astype(str)[order] for labels in (boots, containers)
        )
        return cls(array[order], boot, container)

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def _clusters(self) -> tuple[list[str], Ints, Ints]:
        """Boot names, the boot of each cluster, the cluster of each value."""
        boots, boot_of_value = np.unique(self.boots, return_inverse=True)
        _, container = np.unique(self.containers, return_inverse=True)
        pairs, cluster_of_value = np.unique(np.stack([boot_of_value, container]), axis=1, return_inverse=True)
        return [str(b) for b in boots], pairs[0].astype(np.int64), cluster_of_value.reshape(-1)

    @property
    def clusters(self) -> int:
        """How many containers, counted per boot."""
        return len(self._clusters[1])

    @property
    def boot_names(self) -> list[str]:
        """The boots, sorted."""
        return self._clusters[0]

    def draw(self, boot_draws: dict[str, Ints], rng: np.random.Generator) -> Ints:
        """How often each value is drawn: resamples x values, given each boot's multiplicities."""
        names, boot_of_cluster, cluster_of_value = self._clusters
        resamples = len(next(iter(boot_draws.values())))
        counts = np.empty((resamples, len(boot_of_cluster)), dtype=np.int64)
        for index, name in enumerate(names):
            mine = np.flatnonzero(boot_of_cluster == index)
            size = len(mine)
            counts[:, mine] = rng.multinomial(boot_draws[name] * size, np.full(size, 1 / size))
        spread: Ints = np.take(counts, cluster_of_value, axis=1)
        return spread


def quantile(q: float) -> Statistic:
    """The quantile as NumPy's default defines it, of the values repeated as often as drawn."""

    def statistic(values: Floats, drawn: Ints) -> Floats:
        upto = np.cumsum(drawn, axis=1)
        place = (upto[:, -1] - 1) * q
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, upto[:, -1] - 1)
        low = values[_at(upto, below)]
        high = values[_at(upto, above)]
        return np.asarray(low + (high - low) * (place - below))

    return statistic


def _at(upto: Ints, rank: Ints) -> Ints:
    """The column of each row whose running count first exceeds that row's rank."""
    rows, columns = upto.shape
    # One search for all rows: each is lifted above the one before it.
    lift = np.arange(rows) * (upto[:, -1].max() + 1)
    found = np.searchsorted((upto + lift[:, None]).ravel(), rank + lift, side="right")
    return np.asarray(np.minimum(found - np.arange(rows) * columns, columns - 1), dtype=np.int64)


def mean(values: Floats, drawn: Ints) -> Floats:
    """The arithmetic mean."""
    return np.asarray(drawn @ values / drawn.sum(axis=1))


median = quantile(0.5)


def estimate(sample: Sample, statistic: Statistic, *, seed: int = 0) -> Estimate:
    """The statistic of a sample with its interval."""
    return estimates(sample, [statistic], seed=seed)[0]


def estimates(sample: Sample, statistics: Sequence[Statistic], *, seed: int = 0) -> list[Estimate]:
    """Several statistics of one sample, from the same resamples."""
    if not len(sample):
        return [NOTHING] * len(statistics)
    drawn = None
    if _effective([sample]):
        rng = np.random.default_rng(seed)
        drawn = sample.draw(_boot_draws([sample], rng), rng)
    return [
        _with_interval(
            _point(sample, statistic),
            None if drawn is None else statistic(sample.values, drawn),
            [sample],
            len(sample),
        )
        for statistic in statistics
    ]


def ratio(sample: Sample, reference: Sample, statistic: Statistic, *, seed: int = 0) -> Estimate:
    """statistic(sample) / statistic(reference); boots that both saw are drawn for both alike."""
    return mean_ratio([(sample, reference)], statistic, seed=seed)


def mean_ratio(pairs: Sequence[tuple[Sample, Sample]], statistic: Statistic, *, seed: int = 0) -> Estimate:
    """The geometric mean of the ratios of several (sample, reference) pairs, as over workloads."""
    pairs = [(s, r) for s, r in pairs if len(s) and len(r)]
    if not pairs:
        return NOTHING
    samples = [s for pair in pairs for s in pair]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [np.log(_point(s, statistic) / _point(r, statistic)) for s, r in pairs]
        draws = None
        if _effective(samples):
            rng = np.random.default_rng(seed)
            boots = _boot_draws(samples, rng)
            per_pair = [
                np.log(_positive_draws(s, statistic, boots, rng) / _positive_draws(r, statistic, boots, rng))
                for s, r in pairs
            ]
            draws = np.exp(np.mean(per_pair, axis=0))
    n = sum(len(s) for s, _ in pairs)
    return _with_interval(float(np.exp(np.mean(logs))), draws, samples, n)


def _point(sample: Sample, statistic: Statistic) -> float:
    return float(statistic(sample.values, np.ones((1, len(sample)), dtype=np.int64))[0])


def _boot_draws(samples: Sequence[Sample], rng: np.random.Generator) -> dict[str, Ints]:
    names = sorted({name for sample in samples for name in sample.boot_names})
    if len(names) == 1:
        return {names[0]: np.ones(RESAMPLES, dtype=np.int64)}
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    return {name: drawn[:, i] for i, name in enumerate(names)}


def _positive_draws(
    sample: Sample, statistic: Statistic, boots: dict[str, Ints], rng: np.random.Generator
) -> Floats:
    """One figure per resample; NaN where a resample drew no boot that this sample saw."""
    drawn = sample.draw(boots, rng)
    empty = drawn.sum(axis=1) == 0
    drawn[empty] = 1
    figures = statistic(sample.values, drawn)
    figures[empty] = np.nan
    return figures


def _effective(samples: Sequence[Sample]) -> int:
    """The number of independent clusters that the interval rests on; 0: too few for one."""
    boots = {name for sample in samples for name in sample.boot_names}
    fewest = min(sample.clusters for sample in samples)
    if fewest < MIN_CLUSTERS:
        return 0
    return len(boots) if len(boots) > 1 else fewest


def _with_interval(value: float, draws: Floats | None, samples: Sequence[Sample], n: int) -> Estimate:
    low = high = np.nan
    if draws is not None and np.isfinite(value):
        low, high = interval(draws[np.isfinite(draws)], _effective(samples))
    boots = {name for sample in samples for name in sample.boot_names}
    return Estimate(value, low, high, n, min(s.clusters for s in samples), len(boots))


def interval(draws: Floats, clusters: int, *, level: float = LEVEL) -> tuple[float, float]:
    """The expanded percentile interval of bootstrap draws from so many clusters."""
    if clusters < 2 or not len(draws):
        return (np.nan, np.nan)
    # Student's t quantile and the normal distribution; scipy.stats has them too, but takes seconds to load.
    reach = np.sqrt(clusters / (clusters - 1)) * special.stdtrit(clusters - 1, (1 + level) / 2)
    tail = float(special.ndtr(-reach))
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)
