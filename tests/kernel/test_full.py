"""The parts of a full run beside pieces of self-tests: which there are, and that a failure in one is told."""

import pytest

from bench.build.step import Product
from bench.kernel import cost_limits, full, mmtests, suite
from bench.progress import Progress

GOOD = suite.Verdict("good", (), 1, (), 1.0)


@pytest.fixture
def built(tmp_path, monkeypatch):
    """Nothing is built: an image's folder is named after its step."""

    def ensure(step):
        folder = tmp_path / step.name / step.digest
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "vmlinuz").write_bytes(b"")
        return Product(step.name, step.digest, folder)

    monkeypatch.setattr(full, "ensure", ensure)
    monkeypatch.setattr(suite, "cache_dir", lambda: tmp_path / "cache")


@pytest.fixture
def ran(built, monkeypatch):
    """What is run, in order; all of it is good."""
    log = []

    def compare(without, image, category, folder):
        log.append((without.parents[1].name, image.parents[1].name, category))
        return suite.Verdict(folder.name, (), 1, (), 1.0)

    def good(name):
        return lambda *_, **__: log.append(name) or GOOD

    monkeypatch.setattr(mmtests, "compare", compare)
    parts = (
        (full.each, "verdict"),
        (full.checkpatch, "verdict"),
        (full.idle, "verdict"),
        (cost_limits, "verdict"),
        (full.soak, "run_once"),
    )
    for part, function in parts:
        monkeypatch.setattr(part, function, good(part.__name__.rsplit(".", 1)[-1]))
    monkeypatch.setattr(full.mutants, "all_mutants", lambda: ())
    return log


def test_a_kernel_without_the_facility_answers_as_an_unpatched_one(ran, monkeypatch):
    found = [verdict.piece for verdict in full.verdicts(1, Progress())]
    for kernel, name in (("kernel-release", "mm"), ("kernel-norewind", "mm-norewind")):
        compared = [entry[2] for entry in ran if entry[:2] == ("kernel-unpatched", kernel)]
        assert compared == list(mmtests.CATEGORIES)
        assert {f"{name}-{category}" for category in mmtests.CATEGORIES} <= set(found)


def test_parts_that_were_good_are_not_run_again(ran):
    list(full.verdicts(1, Progress()))
    first = [part for part in ran if part != "soak"]  # which sees to that itself
    assert {"each", "checkpatch", "idle", "cost_limits"} <= set(first)
    ran.clear()
    list(full.verdicts(1, Progress()))
    assert set(ran) <= {"soak"}


def test_a_patch_that_does_not_compile_is_a_problem_of_the_run(ran, monkeypatch):
    bad = suite.Verdict("each-patch", ("CONFIG_REWIND y: 0004-x.patch: does not compile",), 0, (), 1.0)
    monkeypatch.setattr(full.each, "verdict", lambda *_: bad)
    for _ in range(2):
        (problem,) = suite.failed(list(full.verdicts(1, Progress())))
        assert problem == "each-patch: CONFIG_REWIND y: 0004-x.patch: does not compile"


def test_a_changed_limit_is_judged_again(ran, monkeypatch):
    list(full.verdicts(1, Progress()))
    limits = {**cost_limits.load(), "checkpoint_ns": 1.0}
    monkeypatch.setattr(cost_limits, "load", lambda: limits)
    ran.clear()
    list(full.verdicts(1, Progress()))
    assert "cost_limits" in ran
    assert "idle" not in ran
