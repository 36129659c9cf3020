"""Comparison of two kernels, without booting them: limits, verdicts, and what the files say."""

import dataclasses
import json
import re
from xml.etree import ElementTree as ET

import pytest

from bench import doctor
from bench.build.kernel import IMAGE_NAME
from bench.build.step import Product
from bench.errors import ConfigError
from bench.kernel import regress, regress_report, selftests, suite, thresholds
from bench.kernel.fit import summarise
from bench.paths import ROOT, cache_dir

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


@pytest.fixture
def built(tmp_path, monkeypatch):
    """The steps that were asked for; nothing is built."""
    steps = []

    def ensure(step):
        steps.append(step)
        (tmp_path / IMAGE_NAME).write_bytes(b"")
        return Product(step.name, step.digest, tmp_path)

    monkeypatch.setattr(regress, "ensure", ensure)
    return steps


def tree(folder, facility=""):
    (folder / "mm").mkdir(parents=True)
    (folder / "Kconfig").write_text('source "mm/Kconfig"\n')
    (folder / "Makefile").write_text("VERSION = 6\n")
    (folder / "mm" / "Kconfig").write_text(f"config KSM\n\tbool\n{facility}")
    return folder


def test_an_image_is_taken_as_it_is(tmp_path, built):
    (tmp_path / "bzImage").write_bytes(b"")
    assert regress.image_of(tmp_path / "bzImage") == tmp_path / "bzImage"
    assert built == []


@pytest.mark.parametrize("facility", ["", "config REWIND\n\tbool\n"])
def test_a_tree_is_built_as_it_is_with_the_facility_where_it_has_it(tmp_path, built, facility, monkeypatch):
    folder = tree(tmp_path / "linux", facility)
    monkeypatch.chdir(tmp_path)
    assert regress.image_of(folder.relative_to(tmp_path)) == tmp_path / IMAGE_NAME
    (step,) = built
    assert step.inputs["source"] == folder
    assert step.inputs["patches"] == []
    assert ("CONFIG_REWIND=y" in step.inputs["config"]) == bool(facility)


def test_another_symbol_of_that_name_is_not_the_facility(tmp_path, built):
    regress.image_of(tree(tmp_path / "linux", "config REWIND_DEBUG\n\tdepends on REWIND\n"))
    assert "CONFIG_REWIND=y" not in built[0].inputs["config"]


def test_half_a_tree_is_none(tmp_path, built):
    (tree(tmp_path / "linux") / "Makefile").unlink()
    with pytest.raises(ConfigError, match="nor a kernel tree"):
        regress.image_of(tmp_path / "linux")
    assert built == []


def test_a_folder_of_patches_is_built_on_debians_source(tmp_path, built):
    (tmp_path / "0001-a.patch").write_text("Subject: a\n\n---\n--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+one\n")
    regress.image_of(tmp_path)
    (step,) = built
    assert step.inputs["source"] is None
    assert step.inputs["patches"] == [tmp_path / "0001-a.patch"]


def test_the_example_for_ci_names_what_there_is(monkeypatch):
    text = (ROOT / "docs" / "examples" / "kernel-regress.yml").read_text()
    switch = doctor.USERNS_SWITCH.relative_to("/proc/sys")
    assert f"sysctl -w {str(switch).replace('/', '.')}=0" in text
    for name in ("REWIND_BENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/runner")
    (cached,) = re.findall(r"path: ~(/\S*cache\S*)", text)
    assert str(cache_dir()) == f"/home/runner{cached}"
    patterns = set(re.findall(r"'rewind-bench/([^']+)'", text))
    assert patterns
    assert all(any(path.is_file() for path in ROOT.glob(f"{pattern}/*")) for pattern in patterns)
