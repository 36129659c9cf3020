"""What a run says at its end."""

from bench.kernel import run_report
from bench.kernel.suite import Verdict


def of(operations, branches=None):
    return Verdict("piece", (), 1, (), 1.0, operations, branches or {})


def test_random_operations_are_added_up_over_all_pieces():
    one = of({"store": 600_000, "seal": 0, "fork": 0, "total": 600_000}, {"copied": 1200, "zeroed": 3})
    other = of({"store": 399_990, "seal": 10, "fork": 0, "total": 400_000}, {"copied": 1, "zeroed": 0})
    line = run_report.random_programs([one, of({}), other])
    assert line == "1 000 000 random operations of 2 kinds; branches of a rewind: copied 1 201, zeroed 3"


def test_a_run_without_random_programs_says_so():
    assert run_report.random_programs([of({})]).startswith("0 random operations of 0 kinds")
