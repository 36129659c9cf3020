"""Schedules are reproducible, have the rate asked for, and the paper's mix to the last request."""

import statistics
from collections import Counter
from itertools import pairwise

import pytest

from bench.load.schedule import apportion, back_to_back, constant, mix, poisson, repeat, with_warmup
from bench.plugins import workloads

PAPER = {
    "pagerank": 989,
    "bfs": 327,
    "float": 258,
    "mst": 118,
    "pyaes": 93,
    "chameleon": 84,
    "matmul": 82,
    "linpack": 49,
}


def test_same_seed_same_schedule_other_seed_another():
    calls = mix(PAPER, 200, seed=1)
    assert mix(PAPER, 200, seed=1) == calls
    assert mix(PAPER, 200, seed=2) != calls
    assert poisson(calls, 50, seed=1) == poisson(calls, 50, seed=1)
    assert poisson(calls, 50, seed=1) != poisson(calls, 50, seed=2)


def test_poisson_gaps_are_exponential_with_the_rate_asked_for():
    times = [arrival.intended_ns / 1e9 for arrival in poisson(repeat("a", 20_000), 200, seed=7)]
    gaps = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert min(gaps) >= 0
    assert statistics.mean(gaps) == pytest.approx(1 / 200, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(1 / 200, rel=0.05)
    assert sum(gap > 1 / 200 for gap in gaps) / len(gaps) == pytest.approx(0.3679, abs=0.015)


def test_constant_rate_does_not_drift():
    arrivals = constant(repeat("a", 3001), 300)
    assert arrivals[0].intended_ns == 0
    assert arrivals[3000].intended_ns == 10_000_000_000
    gaps = {b.intended_ns - a.intended_ns for a, b in pairwise(arrivals)}
    assert gaps <= {3_333_333, 3_333_334}


def test_whole_paper_mix_has_the_papers_numbers():
    calls = mix(PAPER, 2000, seed=1)
    assert Counter(call.action for call in calls) == PAPER


def test_second_half_is_mostly_the_heaviest():
    calls = [call.action for call in mix(PAPER, 2000, seed=1)]
    assert calls[1000:].count("pagerank") == 900
    assert calls[:1000].count("pagerank") == 89
    assert set(calls[:1000]) == set(PAPER)
    # shuffled, not in blocks
    assert len(set(calls[:40])) > 4


def test_mix_is_renormalised_over_the_workloads_present():
    weights = {name: found.spec.mix_weight for name, found in workloads().items() if found.spec.mix_weight}
    assert weights == {name: PAPER[name] for name in weights}
    calls = mix(weights, 1413, seed=3)
    if weights.keys() == {"pagerank", "float", "chameleon", "matmul"}:
        assert Counter(call.action for call in calls) == weights
    assert len(calls) == 1413


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 100, 101, 999])
@pytest.mark.parametrize("weights", [{"a": 1}, {"a": 989, "b": 1}, {"a": 5, "b": 5, "c": 5}, PAPER])
def test_mix_is_exact_at_every_size(weights, count):
    calls = mix(weights, count, seed=1)
    assert len(calls) == count
    counted = Counter(call.action for call in calls)
    for action, weight in weights.items():
        assert abs(counted[action] - count * weight / sum(weights.values())) < 1


def test_largest_remainder():
    assert apportion({"a": 1, "b": 1, "c": 1}, 10) == {"a": 4, "b": 3, "c": 3}
    assert apportion({"a": 60, "b": 39, "c": 1}, 10) == {"a": 6, "b": 4, "c": 0}
    assert apportion({}, 5) == {}


def test_mix_of_nothing_is_empty():
    assert mix({}, 10, seed=1) == ()
    assert mix({"a": 0}, 10, seed=1) == ()


def test_warmup_labels_the_first():
    arrivals = with_warmup(back_to_back(repeat("a", 5)), 2)
    assert [arrival.warmup for arrival in arrivals] == [True, True, False, False, False]
