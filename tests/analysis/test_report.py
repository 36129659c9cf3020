"""The report is one file that repeats, works at any stage of a run, and hides no failure."""

import re
import shutil

import pandas as pd
import pytest
import synthetic_run

from analysis import report
from analysis.report.write import STAMP
from bench import store


@pytest.fixture(scope="module")
def written(run_dir, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "small"
    shutil.copytree(run_dir, path)
    report.write(path)
    return path


@pytest.fixture(scope="module")
def text(run_dir, tmp_path_factory):
    """The report's text, from a draft: it is the same as the whole report's, and sooner there."""
    path = tmp_path_factory.mktemp("draft") / "small"
    shutil.copytree(run_dir, path)
    return report.write(path, draft=True).read_text()


def without_stamp(text):
    return [line for line in text.splitlines() if STAMP not in line]


def visible(text):
    return re.sub(r"data:image/[^\"]+", "", text)


@pytest.mark.slow
def test_a_draft_of_a_finished_run_reads_as_its_report(written, text):
    assert without_stamp(text) == without_stamp((written / "report.html").read_text())


@pytest.mark.slow
def test_two_reports_are_equal_apart_from_one_line(written, tmp_path):
    again = tmp_path / "small"
    shutil.copytree(written, again)
    first = (written / "report.html").read_text()
    second = report.write(again).read_text()
    assert without_stamp(first) == without_stamp(second)
    assert len(without_stamp(first)) == len(first.splitlines()) - 1
    for file in sorted((written / "figures").iterdir()):
        assert file.read_bytes() == (again / "figures" / file.name).read_bytes(), file.name


def test_it_needs_nothing_from_outside(text):
    text = visible(text)
    assert not re.search(r"(src|href)=\"(?!#|\")", text.replace('src=""', ""))
    assert "http" not in text.replace("http-equiv", "")
    assert "<script" not in text


def test_it_states_findings_failures_machine_and_stages(text):
    text = visible(text)
    assert "Slowest: cold at" in text
    assert "did not get the right result" in text
    assert "container did not start" in text
    assert "look at logs/snapshot.log" in text
    assert "variance between boots was not measured" in text
    for fact in ("6.12.48-rewind", "tcg", "212.4 s", "linux-source-6.12", "9f2c1e", "rewind-bench report"):
        assert fact in text
    assert text.count("<img") == 11


@pytest.mark.slow
def test_figures_and_their_tables_lie_beside_it(written):
    for name in ("overview", "latency", "breakdown", "throughput", "memory", "cold_start", "saturation"):
        for kind in ("png", "svg", "pdf", "csv", "parquet"):
            assert (written / "figures" / f"{name}.{kind}").stat().st_size > 100
    csv = pd.read_csv(written / "figures/memory.csv")
    parquet = pd.read_parquet(written / "figures/memory.parquet")
    assert csv["pss_mb"].to_list() == pytest.approx(parquet["pss_mb"].to_list())


def test_a_run_that_has_just_begun_is_reported_as_such(tmp_path):
    facts = synthetic_run.manifest(testbed=None, ended="", planned_cells=30, stages=[])
    with store.RunFolder.create(tmp_path, facts) as run:
        text = report.write(tmp_path, draft=True).read_text()
        assert "0 of 30 cells finished; the run has not ended" in text
        assert text.count("Not measured.") == 12
        synthetic_run.Writer(run).load_cell("latency", "fork", "hello", {}, 0, count=5)
        text = report.write(tmp_path, draft=True).read_text()
    assert "1 of 30 cells finished" in text
    assert text.count("<img") == 5  # what one cell tells by itself; no baseline to compare with
    assert "Could not be drawn" not in text


def test_a_run_where_every_request_failed_is_still_reported(tmp_path):
    with store.RunFolder.create(tmp_path, synthetic_run.manifest(planned_cells=2)) as run:
        rows = [
            store.RequestRow(
                index=i,
                action="hello",
                warmup=False,
                intended_ns=i,
                actual_ns=None,
                end_ns=None,
                status=None,
                ok=False,
                error="<connection> refused",
            )
            for i in range(4)
        ]
        for experiment in ("latency", "throughput", "saturation"):
            for scheme in ("baseline", "cold"):
                key = store.CellKey.of(experiment, scheme, "hello", {}, 0)
                run.record(store.CellRecord.of(key, started_s=0.0, ended_s=1.0), {"requests": rows})
    text = report.write(tmp_path, draft=True).read_text()
    assert "Could not be drawn" not in text
    assert "24 of 24 measured requests did not get the right result" in text
    assert "&lt;connection&gt; refused" in text


@pytest.mark.slow
def test_a_draft_draws_only_what_it_embeds(tmp_path, run_dir):
    path = tmp_path / "small"
    shutil.copytree(run_dir, path)
    shutil.rmtree(path / "cells/throughput")
    report.write(path, draft=True)
    assert {file.suffix for file in (path / "figures").iterdir()} == {".svg", ".csv", ".parquet"}
    assert not list((path / "figures").glob("throughput*"))
