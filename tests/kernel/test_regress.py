"""Comparison of two kernels, without booting them: limits, verdicts, and what the files say."""

import dataclasses
import json
from xml.etree import ElementTree as ET

import pytest

from bench.errors import ConfigError
from bench.kernel import regress, regress_report, selftests, suite, thresholds
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
    assert "rewind_0_dirty_ns: not measured on the new kernel" in comparison.regressions


def test_what_neither_kernel_measures_is_told_and_fails_a_whole_measurement(tmp_path):
    part = summarise(RECORDS)
    subset = regress.Comparison("old", "new", regress.compare(part, part, thresholds.load()), (), 12)
    assert subset.regressions == []
    assert "rewind_per_region_ns" in subset.not_measured
    paths = regress_report.write(subset, tmp_path)
    assert "rewind_per_region_ns" in json.loads(paths[0].read_text())["not_measured"]
    assert "Not measured on either kernel:" in paths[1].read_text()
    whole = regress.compare(part, part, thresholds.load(), whole=True)
    assert {change.figure for change in whole if change.worse} == set(subset.not_measured)


def test_a_comparison_of_nothing_is_no_success():
    nothing = regress.compare(summarise([]), summarise([]), thresholds.load())
    comparison = regress.Comparison("old", "new", nothing, (), 12)
    assert comparison.regressions == ["no figure was measured on both kernels"]


def test_what_the_new_kernel_refuses_is_a_regression():
    comparison = dataclasses.replace(compare(1.0), refused=("dirty: errno 22",), refused_before=("old",))
    assert comparison.regressions == ["cost: dirty: errno 22"]


def test_selftests_of_which_none_passed_are_a_problem():
    verdict = suite.Verdict("selftests", (), 0, ("smoke: all",), 1.0)
    assert regress.selftest_problems(verdict) == ["none passed"]


def test_selftests_take_arguments():
    limits = thresholds.Thresholds(default={"relative": 0, "absolute": 0}, selftests=("oracle -s 1 -g 2",))
    assert regress.selftest_piece(limits).commands == (suite.command("oracle", "-s 1 -g 2"),)


def test_the_committed_slice_judges_the_dirty_rule():
    programs = {line.split()[0] for line in thresholds.load().selftests}
    assert programs >= {"memory", "oracle"}
    assert programs <= set(selftests.programs())


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
