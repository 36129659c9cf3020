"""What a run says at its end."""

from xml.etree import ElementTree as ET

import pytest

from bench.kernel import commands, plan, run_report, suite
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


BAD = Verdict(
    "short", ("memory: store", "kernel KASAN: BUG \x1b[1m <here>"), 120, ("trace: a refusal",), 61.25
)
GOOD = Verdict("oracle-1-20", (), 20, ("memory: store, merged",), 1.0)


def test_each_piece_is_a_suite_with_its_problems_and_skips(tmp_path):
    root = ET.parse(run_report.write_junit([BAD, GOOD], tmp_path / "new")).getroot()
    bad, good = root.findall("testsuite")
    assert bad.attrib == {
        "name": "short",
        "tests": "123",
        "failures": "2",
        "skipped": "1",
        "time": "61.2",
    }
    assert [case.get("name") for case in bad.iter("testcase") if case.find("failure") is not None] == [
        "memory: store",
        "kernel KASAN: BUG ?[1m <here>",
    ]
    assert bad.find("*/skipped").get("message") == "tracefs is in the debug kernel"
    assert good.find("*/failure") is None
    assert good.find("*/skipped").get("message") == "without a reason"


def test_a_run_writes_the_file_before_it_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(suite, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(plan, "run", lambda **_: [BAD])
    with pytest.raises(plan.SelftestError, match="2 problems"):
        commands.kernel_test(full=True)
    assert ET.parse(tmp_path / "kernel-tests" / "kernel-test.xml").getroot().find(".//failure") is not None
