"""What the kernel may cost: the committed limits, and what a full run holds against a measurement."""

import dataclasses
from pathlib import Path

import pytest

from bench.errors import ConfigError, KernelPanicError
from bench.kernel import cost, cost_limits, cost_report
from bench.kernel.boot import Boot, Ending
from bench.kernel.fit import summarise

NOTHING = summarise([])
#: All that has a limit, exactly at it.
AT_LIMIT = dataclasses.replace(NOTHING, **cost_limits.load())


def above(**changed):
    return list(cost_limits.above(dataclasses.replace(AT_LIMIT, **changed), cost_limits.load()))


def test_the_committed_limits_are_of_the_figures_that_a_design_has_goals_for():
    limits = cost_limits.load()
    assert limits["checkpoint_ns"] < 500_000
    assert limits["rewind_per_idle_thread_ns"] < 1000
    assert limits["next_request_fraction"] <= 1.01
    assert limits["log_beside_images_0_dirty_bytes"] < 64 << 10


def test_a_figure_at_its_limit_is_good_and_one_above_it_is_named():
    assert above() == []
    assert above(rewind_per_dirty_page_ns=700.0) == ["rewind_per_dirty_page_ns: 700.0, limit 647.0"]
    assert above(next_request_fraction=1.02) == ["next_request_fraction: 1.0200, limit 1.0100"]


def test_what_was_not_measured_is_not_good():
    assert above(first_touch_ns=None) == ["first_touch_ns: not measured, limit 2,517.0"]
    assert len(list(cost_limits.above(NOTHING, cost_limits.load()))) == len(cost_limits.load())


def test_every_fault_of_the_limits_is_named(tmp_path):
    path = tmp_path / "kernel-cost.toml"
    path.write_text("[limits]\nrewind_ms = 3\n")
    with pytest.raises(ConfigError, match=r"limits\.rewind_ms: no such figure"):
        cost_limits.load(path)
    path.write_text("[limits]\nrewind_0_dirty_ns = 0\n")
    with pytest.raises(ConfigError, match=r"limits\.rewind_0_dirty_ns"):
        cost_limits.load(path)


def test_memory_beside_the_images_is_a_figure():
    counters = {"logged": 75, "log_bytes": 323_584}
    sweep = {"axis": "dirty", "kind": "fixed", "rewind_ns": [1], "request_ns": [1], "checkpoint_ns": 1}
    records = [{**sweep, "dirty_pages": 0, "counters": counters}, {**sweep, "dirty_pages": 10_000}]
    summary = summarise(records)
    assert summary.log_beside_images_0_dirty_bytes == 16 << 10
    assert summary.log_beside_images_10000_dirty_bytes is None


@pytest.fixture
def judged(monkeypatch, tmp_path):
    """The problems of two boots that measured these records; or that ended in such an error."""

    def judge(*boots, error=None):
        left = list(boots)

        def measure(*_, **__):
            if error:
                raise error
            return cost.Costs(tuple(left.pop(0)), Boot("", "", Ending.POWERED_OFF, 1.0, tmp_path))

        def make_initramfs(folder, **_):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "x").write_bytes(b"")
            return folder / "x"

        monkeypatch.setattr(cost, "measure", measure)
        monkeypatch.setattr(cost, "make_initramfs", make_initramfs)
        return cost_limits.verdict(Path("bzImage"), tmp_path / "cost", {"page_copy_ns": 500.0})

    return judge


BASE = {"axis": "baselines", "copy_ns": 500.0}


def test_a_good_measurement(judged, tmp_path):
    found = judged([BASE], [BASE])
    assert found.problems == ()
    assert found.passed == 1
    assert (tmp_path / "cost" / cost_report.JSON_NAME).is_file()


def test_a_nanosecond_between_two_boots_is_a_problem(judged):
    (problem,) = judged([BASE], [{**BASE, "copy_ns": 501.0}]).problems
    assert problem == "two boots differ: baselines  copy_ns: 500.0 and 501.0"


def test_a_refused_series_and_a_high_figure_are_problems(judged):
    records = [{**BASE, "copy_ns": 550.0}, {"axis": "threads", "error": "Invalid argument"}]
    assert judged(records, records).problems == (
        "refused: threads: Invalid argument",
        "page_copy_ns: 550.0, limit 500.0",
    )


def test_a_kernel_in_trouble_is_a_problem(judged):
    (problem,) = judged(error=KernelPanicError("the kernel was in trouble")).problems
    assert problem.startswith("the kernel was in trouble (log: ")
