"""The scheduler: order, side by side, failure."""

import threading

import pytest

from bench.build.schedule import build_all
from bench.build.step import Step
from bench.errors import BuildError


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REWIND_BENCH_CACHE", str(tmp_path / "cache"))


def touch(work):
    (work.out / "x").write_text("x")


def test_needs_and_tools_come_first_and_only_needs_count():
    seen = []

    def note(name):
        return lambda _work: seen.append(name)

    need, tool = Step("need", note("need")), Step("tool", note("tool"))
    top = Step("top", note("top"), needs={"need": need}, tools={"tool": tool})
    build_all([top])
    assert seen[-1] == "top"
    assert set(seen) == {"need", "tool", "top"}
    other = Step("top", note("again"), needs={"need": need}, tools={"tool": Step("other", note("other"))})
    build_all([other])  # cached: another tool makes no other product
    assert len(seen) == 3


def test_independent_steps_run_side_by_side():
    meet = threading.Barrier(2, timeout=20)

    def build(work):
        meet.wait()

    built = build_all([Step("a", build), Step("b", build)], jobs=2)
    assert set(built.products) == {"a", "b"}


def test_progress_says_what_is_cached_and_counts_up():
    build_all([Step("a", touch)])
    events = []
    build_all([Step("a", touch), Step("b", touch)], progress=events.append)
    assert ("a", "cached") in [(event.step, event.state) for event in events]
    assert ("b", "built") in [(event.step, event.state) for event in events]
    assert (events[-1].done, events[-1].total) == (2, 2)


def test_first_failure_stops_the_others_and_is_raised():
    running = threading.Event()

    def fail(work):
        running.wait(20)
        raise BuildError("broken", hint="mend it")

    def slow(work):
        running.set()
        work.run(["sleep", "120"])

    with pytest.raises(BuildError, match="broken"):
        build_all([Step("slow", slow), Step("bad", fail)], jobs=2)
