"""What a run of self-tests says at its end, over all of its pieces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from bench.kernel import junit, selftests, skips
from bench.kernel.suite import Verdict

JUNIT_NAME = "kernel-test.xml"


def write_junit(verdicts: Sequence[Verdict], folder: Path) -> Path:
    """Write `folder`/kernel-test.xml; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / JUNIT_NAME
    path.write_text(as_junit(verdicts))
    return path


def as_junit(verdicts: Sequence[Verdict]) -> str:
    """A suite for each piece, with a case for each problem and each case that was skipped."""
    root = ET.Element("testsuites", name="kernel-test")
    for one in verdicts:
        failures, skipped = len(one.problems), len(one.skipped)
        count = one.passed + failures + skipped
        piece = junit.suite(one.piece, tests=count, failures=failures, skipped=skipped, time_s=one.wall_s)
        for problem in one.problems:
            junit.case(piece, one.piece, problem, failure=problem)
        for name in one.skipped:
            junit.case(piece, one.piece, name, skipped=skips.reason(name) or "without a reason")
        root.append(piece)
    return junit.text(root)


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
