"""Comparison of two kernels, without booting them: limits, verdicts, and what the files say."""

import json
from xml.etree import ElementTree as ET

import pytest

from bench.errors import ConfigError
from bench.kernel import regress, regress_report, thresholds
from bench.kernel.fit import summarise

RECORDS = [
    {
        "axis": "baselines",
        "copy_ns": 520.0,
        "cow_fault_ns": 3960.0,
        "fork": {"1000": {"cycle_ns": 7_500_000}},
    },
    *(
        {
            "axis": "dirty",
            "kind": kind,
            "dirty_pages": dirty,
            "checkpoint_ns": 500_000,
            "rewind_ns": [99_000, 40_000 + 600 * dirty, 40_000 + 600 * dirty, 40_000 + 600 * dirty],
            "request_ns": [2300 * dirty, dirty, dirty, dirty],
        }
        for kind in ("fixed", "one-new", "sliding")
        for dirty in (0, 100, 1000)
    ),
]


def scaled(factor):
    return [
        {**record, "rewind_ns": [value * factor for value in record["rewind_ns"]]}
        if "rewind_ns" in record
        else record
        for record in RECORDS
    ]


def compare(factor, problems=()):
    limits = thresholds.load()
    changes = regress.compare(summarise(RECORDS), summarise(scaled(factor)), limits)
    return regress.Comparison("old", "new", changes, tuple(problems), 12)


def test_the_committed_limits_are_valid():
    limits = thresholds.load()
    assert limits.selftests
    assert limits.limit("rewind_per_dirty_page_ns").relative < 0.05


def test_five_percent_more_is_a_regression():
    comparison = compare(1.05)
    worse = {change.figure for change in comparison.changes if change.worse}
    assert "rewind_0_dirty_ns" in worse
    assert "rewind_per_dirty_page_ns" in worse
    with pytest.raises(regress.RegressionError) as caught:
        regress.check(comparison, "report")
    assert "rewind_0_dirty_ns: 40000.0 to 42000.0 (+5.0%)" in caught.value.message


def test_the_same_figures_are_none():
    comparison = compare(1.0)
    assert comparison.regressions == []
    regress.check(comparison, "report")


def test_five_percent_less_is_none():
    assert compare(0.95).regressions == []


def test_a_figure_that_cannot_be_measured_any_more_is_a_regression():
    old, new = summarise(RECORDS), summarise(RECORDS[:1])
    changes = regress.compare(old, new, thresholds.load())
    comparison = regress.Comparison("old", "new", changes, (), 0)
    assert "rewind_0_dirty_ns: was measured before, cannot be now" in comparison.regressions


def test_a_failed_selftest_is_a_regression():
    assert compare(1.0, ["threads: an idle pool"]).regressions == ["self-test: threads: an idle pool"]


def test_the_three_files_agree(tmp_path):
    paths = regress_report.write(compare(1.05, ["kernel KASAN: BUG <here>"]), tmp_path)
    data = json.loads(paths[0].read_text())
    suite = ET.parse(paths[2]).getroot()
    failures = suite.findall(".//failure")
    assert len(data["regressions"]) == len(failures) == int(suite.get("failures"))
    assert f"**{len(failures)} regressions**" in paths[1].read_text()
    assert "kernel KASAN: BUG <here>" in paths[1].read_text()


def test_every_fault_of_the_limits_is_named(tmp_path):
    path = tmp_path / "regress.toml"
    path.write_text("[default]\nrelative = -1\nabsolute = 0\n[figures.nonsense]\nrelative=1\nabsolute=1\n")
    with pytest.raises(ConfigError) as caught:
        thresholds.load(path)
    assert any("default.relative" in problem for problem in caught.value.problems)
    path.write_text("[default]\nrelative = 0.1\nabsolute = 0\n[figures.nonsense]\nrelative=1\nabsolute=1\n")
    with pytest.raises(ConfigError) as caught:
        thresholds.load(path)
    assert any("figures.nonsense: no such figure" in problem for problem in caught.value.problems)


def test_a_path_that_is_no_kernel_is_refused(tmp_path):
    with pytest.raises(ConfigError):
        regress.image_of(tmp_path)
    with pytest.raises(ConfigError):
        regress.image_of(tmp_path / "missing")
