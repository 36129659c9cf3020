"""What a run of self-tests says at its end, over all of its pieces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from bench.kernel import selftests
from bench.kernel.suite import Verdict


def random_programs(verdicts: Sequence[Verdict]) -> str:
    """One line about all random programs of a run: operations, their kinds, and branches of a rewind."""
    operations = _sum(verdict.operations for verdict in verdicts)
    total = operations.pop(selftests.TOTAL, 0)
    kinds = sum(count > 0 for count in operations.values())
    branches = _sum(verdict.branches for verdict in verdicts)
    taken = ", ".join(f"{name} {_spaced(count)}" for name, count in branches.items()) or "none"
    return f"{_spaced(total)} random operations of {kinds} kinds; branches of a rewind: {taken}"


def _sum(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for some in counts:
        total.update(some)
    return total


def _spaced(count: int) -> str:
    """Groups of three digits: 1 000 000."""
    return f"{count:,}".replace(",", " ")
