"""Arrival schedules: pure functions of their parameters and a seed.

A schedule is made in two steps: *what* is called (`repeat`, `mix`), and *when* (`constant`,
`poisson`, `back_to_back`). Replay of a recorded trace is one more function of the second kind.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence

import msgspec

NS_PER_S = 1_000_000_000
#: Share of the heaviest action in the second half of a mix ("mostly pagerank").
MOSTLY = 0.9


class Call(msgspec.Struct, frozen=True, array_like=True):
    """One request without its time: an action, and which of its parameter sets."""

    action: str
    params: int = 0


class Arrival(msgspec.Struct, frozen=True, array_like=True):
    """One request of a schedule; times count from the start of the load."""

    intended_ns: int
    action: str
    params: int = 0
    warmup: bool = False


def repeat(action: str, count: int, params: int = 0) -> tuple[Call, ...]:
    """The same call `count` times."""
    return (Call(action, params),) * count


def mix(weights: Mapping[str, int], count: int, seed: int) -> tuple[Call, ...]:
    """The paper's request mix: first half mixed, second half mostly the heaviest action.

    `weights` are the paper's request numbers of the workloads present; `count` is divided in
    their proportion, exactly (largest remainder). In the second half `MOSTLY` of the calls are of
    the heaviest action, as far as its number goes; what remains makes the first half.
    """
    totals = apportion(weights, count)
    if not any(totals.values()):
        return ()
    heaviest = max(totals, key=lambda action: totals[action])
    second_size = count // 2
    others = {action: number for action, number in totals.items() if action != heaviest}
    wanted = min(totals[heaviest], round(MOSTLY * second_size))
    wanted = max(wanted, second_size - sum(others.values()))
    second = {heaviest: wanted, **apportion(others, second_size - wanted)}
    first = {action: totals[action] - second[action] for action in totals}
    draw = random.Random(seed)  # noqa: S311  a schedule, not a secret
    return _shuffled(first, draw) + _shuffled(second, draw)


def apportion(weights: Mapping[str, int], count: int) -> dict[str, int]:
    """Divide `count` in proportion to `weights` by largest remainder; the parts sum to `count`."""
    whole = sum(weights.values())
    if whole <= 0:
        return dict.fromkeys(weights, 0)
    parts = {key: count * weight // whole for key, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda key: (-(count * weights[key] % whole), key))
    for key in by_remainder[: count - sum(parts.values())]:
        parts[key] += 1
    return parts


def constant(calls: Sequence[Call], rate_per_s: float) -> tuple[Arrival, ...]:
    """One arrival every 1/rate seconds, the first one at once."""
    return _arrivals(calls, (round(index * NS_PER_S / rate_per_s) for index in range(len(calls))))


def poisson(calls: Sequence[Call], rate_per_s: float, seed: int) -> tuple[Arrival, ...]:
    """Independent arrivals: exponential gaps with a mean of 1/rate seconds."""
    draw = random.Random(seed)  # noqa: S311  a schedule, not a secret
    times, now_s = [], 0.0
    for _ in calls:
        now_s += draw.expovariate(rate_per_s)
        times.append(round(now_s * NS_PER_S))
    return _arrivals(calls, times)


def back_to_back(calls: Sequence[Call]) -> tuple[Arrival, ...]:
    """For a closed loop: order only; a request is due when a client is ready for it."""
    return _arrivals(calls, (0 for _ in calls))


def with_warmup(arrivals: Sequence[Arrival], count: int) -> tuple[Arrival, ...]:
    """The same schedule with its first `count` arrivals labelled as warm-up."""
    return tuple(
        msgspec.structs.replace(arrival, warmup=index < count) for index, arrival in enumerate(arrivals)
    )


def _arrivals(calls: Sequence[Call], times_ns: Iterable[int]) -> tuple[Arrival, ...]:
    return tuple(Arrival(t, call.action, call.params) for t, call in zip(times_ns, calls, strict=True))


def _shuffled(counts: Mapping[str, int], draw: random.Random) -> tuple[Call, ...]:
    calls = [Call(action) for action, number in counts.items() for _ in range(number)]
    draw.shuffle(calls)
    return tuple(calls)
