"""Intervals cover what they say when containers differ, and repeat to the last digit."""

import numpy as np
import pytest

from analysis.slope import Series, slope
from analysis.statistics import Sample, estimate, estimates, mean, mean_ratio, median, quantile, ratio


def sample(values, containers=None, boots=None):
    n = len(values)
    return Sample.of(values, boots or ["b"] * n, containers or [str(i) for i in range(n)])


@pytest.mark.parametrize("q", [0.0, 0.25, 0.5, 0.95, 1.0])
def test_point_estimates_are_numpys_quantiles(q):
    values = [5.0, 1.0, 4.0, 8.0, 2.0, 9.0]
    assert estimate(sample(values), quantile(q)).value == pytest.approx(np.quantile(values, q))


def test_a_weighted_quantile_is_that_of_the_repeated_values():
    rng = np.random.default_rng(1)
    values = np.sort(rng.normal(size=30))
    drawn = rng.integers(0, 4, size=(50, 30))
    for q in (0.1, 0.5, 0.99):
        expected = [np.quantile(np.repeat(values, row), q) for row in drawn]
        assert quantile(q)(values, drawn) == pytest.approx(expected)
    assert mean(values, drawn) == pytest.approx([np.repeat(values, row).mean() for row in drawn])


def clustered(rng, containers=12, requests=15):
    """Requests of one container are alike: 1 between containers, 0.3 within one; true mean 10."""
    levels = 10 + rng.normal(size=containers)
    values = np.repeat(levels, requests) + 0.3 * rng.normal(size=containers * requests)
    return values, [f"c{i}" for i in range(containers) for _ in range(requests)]


@pytest.mark.parametrize("statistic", [mean, median])
def test_intervals_by_container_cover_the_truth_where_intervals_by_request_do_not(statistic):
    rng = np.random.default_rng(3)
    hits = {"container": 0, "request": 0}
    trials = 120
    for _ in range(trials):
        values, containers = clustered(rng)
        by_container = estimate(sample(values, containers), statistic)
        by_request = estimate(sample(values), statistic)
        hits["container"] += by_container.low <= 10 <= by_container.high
        hits["request"] += by_request.low <= 10 <= by_request.high
    assert 0.89 <= hits["container"] / trials <= 1.0
    assert hits["request"] / trials < 0.7


def test_with_few_containers_the_interval_is_still_wide_enough():
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(150):
        values, containers = clustered(rng, containers=4)
        figure = estimate(sample(values, containers), mean)
        hits += figure.low <= 10 <= figure.high
    assert hits / 150 > 0.8


def test_differences_between_boots_widen_the_interval():
    rng = np.random.default_rng(5)
    boots, values, containers = [], [], []
    for boot, level in enumerate((8.0, 10.0, 12.0)):
        for container in range(6):
            values += list(level + 0.1 * rng.normal(size=5))
            boots += [f"boot{boot}"] * 5
            containers += [f"c{boot}-{container}"] * 5
    one = estimate(Sample.of(values, ["same"] * len(values), containers), mean)
    three = estimate(Sample.of(values, boots, containers), mean)
    assert three.boots == 3
    assert three.high - three.low > 1.5 * (one.high - one.low)


@pytest.mark.parametrize("containers", [["a"] * 6, ["a", "a", "a", "b", "b", "b"]])
def test_one_or_two_containers_give_a_figure_but_no_interval(containers):
    figure = estimate(sample([1.0, 2, 3, 4, 5, 6], containers), median)
    assert figure.value == 3.5
    assert not figure.has_interval
    assert figure.containers == len(set(containers))


def test_no_values_give_no_figure():
    assert np.isnan(estimate(sample([]), median).value)
    assert np.isnan(ratio(sample([]), sample([1.0]), median).value)


def test_results_repeat_exactly_and_depend_on_the_seed():
    values, containers = clustered(np.random.default_rng(6))
    assert estimate(sample(values, containers), median) == estimate(sample(values, containers), median)
    other = estimate(sample(values, containers), median, seed=1)
    assert other.low != estimate(sample(values, containers), median).low


def test_order_of_rows_does_not_matter():
    values, containers = clustered(np.random.default_rng(7))
    shuffle = np.random.default_rng(8).permutation(len(values))
    again = sample(values[shuffle], [containers[i] for i in shuffle])
    assert estimate(again, median) == estimate(sample(values, containers), median)


def test_several_statistics_share_resamples_and_agree_with_one_at_a_time():
    values, containers = clustered(np.random.default_rng(9))
    both = estimates(sample(values, containers), [median, mean])
    assert both == [estimate(sample(values, containers), s) for s in (median, mean)]


def test_ratios_and_their_geometric_mean():
    slow, fast = sample([4.0, 6.0, 8.0]), sample([1.0, 2.0, 3.0])
    assert ratio(slow, fast, median).value == pytest.approx(3.0)
    equal = mean_ratio([(slow, fast), (fast, slow)], median)
    assert equal.value == pytest.approx(1.0)
    assert equal.low < 1 < equal.high
    # What shifts a whole boot shifts numerator and denominator: the ratio stays sure.
    boots = ["a", "b", "c", "d"] * 3
    level = np.array([1.0, 10.0, 100.0, 1000.0] * 3)
    certain = ratio(
        Sample.of(3 * level, boots, list("abcdefghijkl")), Sample.of(level, boots, list("abcdefghijkl")), mean
    )
    assert certain.value == pytest.approx(3.0)
    assert (certain.low, certain.high) == (pytest.approx(3.0), pytest.approx(3.0))


def line(boot, intercept, step, n=6):
    x = np.arange(n, dtype=float)
    return Series(boot, x, intercept + step * x)


def test_a_slope_over_series_with_different_intercepts():
    figure = slope([line("a", 100, 50), line("a", 900, 50)])
    assert figure.value == pytest.approx(50)
    assert (figure.low, figure.high) == (pytest.approx(50), pytest.approx(50))
    assert figure.containers == 10


def test_the_slopes_interval_covers_the_cost_of_a_container():
    rng = np.random.default_rng(10)
    hits = 0
    for _ in range(120):
        series = [
            Series(
                "a",
                np.arange(9.0),
                rng.normal(0, 50) + np.concatenate([[0], np.cumsum(rng.normal(40, 4, 8))]),
            )
            for _ in range(2)
        ]
        figure = slope(series)
        hits += figure.low <= 40 <= figure.high
    assert hits / 120 > 0.88


def test_one_sample_has_no_slope_and_two_steps_no_interval():
    assert np.isnan(slope([Series("a", np.array([1.0]), np.array([5.0]))]).value)
    few = slope([line("a", 0, 7, n=3)])
    assert few.value == pytest.approx(7)
    assert not few.has_interval
