"""What one more container costs: the slope of a guest-wide figure over the number of containers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.statistics import MIN_CLUSTERS, NOTHING, RESAMPLES, Estimate, Floats, interval


@dataclass(frozen=True)
class Series:
    """One start of N containers, one after the other: x containers alive, y the figure."""

    boot: str
    x: Floats
    y: Floats


def slope(series: Sequence[Series], *, seed: int = 0) -> Estimate:
    """The common least-squares slope of several series, each with its own intercept.

    The unit that is drawn for the interval is a container, that is one step from x to x + 1 with
    the change of y that it brought; each resample strings drawn steps together and fits again.
    Points of one series are cumulative, so residuals must not be drawn. With several boots these
    are drawn first.
    """
    usable = [s for s in series if len(s.x) > 1]
    if not usable:
        return NOTHING
    top, bottom = np.sum([_moments(s.x[None, :], s.y[None, :]) for s in usable], axis=0)
    boots = sorted({s.boot for s in usable})
    steps = sum(len(s.x) - 1 for s in usable)
    n = sum(len(s.x) for s in usable)
    low = high = np.nan
    if steps >= MIN_CLUSTERS:
        rng = np.random.default_rng(seed)
        share = np.full(len(boots), 1 / len(boots))
        drawn = rng.multinomial(len(boots), share, size=RESAMPLES)
        tops, bottoms = np.zeros(RESAMPLES), np.zeros(RESAMPLES)
        for one in usable:
            weight = drawn[:, boots.index(one.boot)]
            over, under = _moments(*_strung(one, rng))
            tops += weight * over
            bottoms += weight * under
        fits = np.divide(tops, bottoms, out=np.full(RESAMPLES, np.nan), where=bottoms > 0)
        low, high = interval(fits[np.isfinite(fits)], len(boots) if len(boots) > 1 else steps)
    return Estimate(float(top[0] / bottom[0]), low, high, n, steps, len(boots))


def _moments(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Sums of (x - mean)(y - mean) and of (x - mean)^2 along each row."""
    centred = x - x.mean(axis=1, keepdims=True)
    return (centred * y).sum(axis=1), (centred**2).sum(axis=1)


def _strung(series: Series, rng: np.random.Generator) -> tuple[Floats, Floats]:
    steps = len(series.x) - 1
    pick = rng.integers(0, steps, size=(RESAMPLES, steps))
    start = np.zeros((RESAMPLES, 1))
    walk = [np.hstack([start, np.cumsum(np.diff(v)[pick], axis=1)]) for v in (series.x, series.y)]
    return walk[0], walk[1]
