"""Cost figures: the results channel read, lines fitted, boots compared, the figure drawn."""

import dataclasses
import io
import json

import pytest
from rich.console import Console

from bench.errors import ConfigError, KernelPanicError, RunIncompleteError
from bench.kernel import anchors, cost, cost_figure, cost_report
from bench.kernel.boot import Boot, Ending
from bench.kernel.fit import line, steady, summarise

CHANNEL = """\
# program begins: A=1 B=2 /bench/permit /usr/bin/python3.11 -B /bench/reference_process.py dirty 6 0x0 0x0
{"axis": "dirty", "kind": "fixed", "dirty_pages": 0, "rewind_ns": [900, 500, 500], "request_ns": [1, 1, 1], \
"checkpoint_ns": 10}
# program ends: status 0 signal 0 after 0.639 s
# program begins: A=1 B=2 /bench/permit /usr/bin/python3.11 -B /bench/reference_process.py threads 6 0x0 0x0
Traceback (most recent call last):
# program ends: status 1 signal 0 after 0.101 s
# all programs ended
"""


def boot_of(records):
    return cost.Costs(tuple(records), Boot("", "", Ending.POWERED_OFF, 1.0, None))


def test_records_and_failures_are_read():
    measured = boot_of(cost.read_records(CHANNEL))
    assert measured.axis("dirty")[0]["rewind_ns"] == [900, 500, 500]
    assert measured.errors == ["threads: program ends: status 1 signal 0 after 0.101 s"]


def test_a_line_is_found_exactly():
    fitted = line([(0, 45_000), (100, 105_000), (1000, 645_000), (10000, 6_045_000)])
    assert fitted.intercept_ns == pytest.approx(45_000)
    assert fitted.slope_ns == pytest.approx(600)
    assert fitted.worst_relative < 1e-6


def test_a_bend_shows_in_the_residual():
    assert line([(0, 100), (1, 100), (2, 400)]).worst_relative > 0.2


def sweep(kind, *costs_ns):
    return [
        {
            "axis": "dirty",
            "kind": kind,
            "dirty_pages": n,
            "rewind_ns": [ns, ns],
            "request_ns": [1],
            "checkpoint_ns": 5,
        }
        for n, ns in enumerate(costs_ns)
    ]


def test_the_table_has_each_sweep_and_points_out_a_bend(tmp_path):
    records = [*sweep("fixed", 1000, 1600, 2200), *sweep("sliding", 100, 100, 400), *sweep("one-new", 7)]
    report = cost_report.write(boot_of(records), tmp_path, label="x", repeated=False)
    assert json.loads(report.files[0].read_text())["lines"]["dirty, fixed"]["slope_ns"] == pytest.approx(600)
    console = Console(width=100, file=io.StringIO())
    console.print(cost_report.table(report.lines))
    rows = [row for row in console.file.getvalue().splitlines() if "dirty, " in row]
    assert ["not a line" in row for row in rows] == [False, True]
    assert "600.00" in rows[0]
    report.check()


BASELINES = {
    "axis": "baselines",
    "copy_ns": 520.0,
    "cow_fault_ns": 4000.0,
    "fork": {"1000": {"cycle_ns": 7_784_840}},
}


def ablation(label, kind, dirty, request_ns, rewind_ns):
    return {
        "axis": "ablation",
        "ablation": label,
        "kind": kind,
        "dirty_pages": dirty,
        "request_ns": [9, request_ns],
        "rewind_ns": [9, rewind_ns],
    }


def shown(records, tmp_path):
    """Rows of the second table."""
    report = cost_report.write(boot_of(records), tmp_path, label="x", repeated=False)
    console = Console(width=140, file=io.StringIO())
    console.print(cost_report.table_beside(report.beside))
    return [
        [cell.strip() for cell in row.strip("│").split("│")]
        for row in console.file.getvalue().splitlines()
        if row.startswith("│")
    ]


def test_the_second_table_has_what_else_the_kernel_costs(tmp_path):
    dirty = sweep("fixed", 1000, 1600)
    dirty[1]["request_ns"] = [2000, 5]
    rows = shown([BASELINES, *dirty], tmp_path)
    assert ["4 KiB copied", "0.52 µs", ""] in rows
    assert ["copy-on-write fault", "4.00 µs", ""] in rows
    assert ["fork, 1000 pages written, exit, wait", "7,784.8 µs", ""] in rows
    touch = ["first write to a page after a checkpoint", "2.00 µs", "-50.0% beside a copy-on-write fault"]
    assert touch in rows


def test_an_ablation_stands_beside_the_whole(tmp_path):
    kinds = (("fixed", 1000, 5000, 695_000), ("matmul", 0, 45_000_000, 900_000))
    records = [ablation("none", *one) for one in kinds]
    records += [ablation("no reuse", "fixed", 1000, 2_200_000, 1_900_000)]
    (row,) = shown(records, tmp_path)
    assert row == ["no reuse: request and rewind, 1000 pages", "4,100.0 µs", "+485.7% beside 700.0 µs"]


def test_the_log_stands_beside_its_images(tmp_path):
    records = sweep("fixed", 1000, 1600, 2200)
    for record, logged, held in zip(records, (86, 90, 1073), (217, 5, 1185), strict=True):
        record["counters"] = {"logged": logged, "log_bytes": held * 4096}
    rows = [row for row in shown(records, tmp_path) if row[0].startswith("log_bytes")]
    (told,) = tmp_path.glob("*.json")
    (first, _) = [
        row for row in json.loads(told.read_text())["beside"] if row["name"].startswith("log_bytes")
    ]
    assert first == {"name": "log_bytes, 0 pages", "figure": "868 KiB", "note": "524 KiB beside 86 images"}
    assert rows == [
        ["log_bytes, 0 pages", "868 KiB", "524 KiB beside 86 images"],
        ["log_bytes, 2 pages", "4,740 KiB", "448 KiB beside 1,073 images"],
    ]


def test_the_second_table_of_a_partial_run_has_what_there_is(tmp_path):
    assert shown([*sweep("one-new", 7), {"axis": "ablation", "error": "Invalid argument"}], tmp_path) == []


def test_a_run_in_which_all_was_refused_fails(tmp_path):
    records = [{"axis": "baselines", "copy_ns": 500.0}, {"axis": "dirty", "error": "Invalid argument"}]
    report = cost_report.write(boot_of(records), tmp_path, label="x", repeated=False)
    with pytest.raises(RunIncompleteError) as caught:
        report.check()
    assert "dirty: Invalid argument" in caught.value.hint


def test_a_complaint_of_the_kernel_spoils_its_figures(tmp_path):
    quiet = Boot("", CHANNEL, Ending.POWERED_OFF, 1.0, tmp_path)
    assert cost.costs_of(quiet).records
    loud = dataclasses.replace(quiet, console="[ 1.0] BUG: Bad page state in process python3")
    with pytest.raises(KernelPanicError, match="Bad page state"):
        cost.costs_of(loud)


def test_one_size_is_no_line():
    with pytest.raises(ValueError, match="two sizes"):
        line([(5, 1), (5, 2)])


def test_the_first_generations_do_not_count_as_steady():
    assert steady([9000, 7000, 500, 500]) == 500


def test_missing_axes_are_missing_figures():
    summary = summarise(cost.read_records(CHANNEL))
    assert summary.rewind_0_dirty_ns == 500
    assert summary.rewind_per_dirty_page_ns is None
    assert summary.rewind_per_idle_thread_ns is None


def test_boots_are_compared_to_the_nanosecond():
    records = cost.read_records(CHANNEL)
    assert cost.same_figures(boot_of(records), boot_of(records)) == []
    changed = [{**records[0], "rewind_ns": [900, 500, 501]}, *records[1:]]
    (difference,) = cost.same_figures(boot_of(records), boot_of(changed))
    assert "rewind_ns: [900, 500, 500] and [900, 500, 501]" in difference
    assert cost.same_figures(boot_of(records), boot_of(records[:1])) != []


def test_the_figure_is_drawn_even_from_a_partial_run(tmp_path):
    cost_figure.draw(cost.read_records(CHANNEL), "title", tmp_path / "a.png", tmp_path / "a.svg")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "title" in (tmp_path / "a.svg").read_text() or (tmp_path / "a.svg").stat().st_size > 1000


def summary_of(at_0, at_1000):
    rewinds = {0: at_0, 1000: at_1000}
    records = [
        {
            "axis": "dirty",
            "kind": "fixed",
            "dirty_pages": pages,
            "rewind_ns": [ns, ns],
            "request_ns": [1, 1],
            "checkpoint_ns": 500_000,
        }
        for pages, ns in rewinds.items()
    ]
    return summarise(records)


def test_ratios_to_a_rival_are_judged_by_their_limits():
    compared = {one.figure: one for one in anchors.compare(summary_of(140_000, 1_000_000), anchors.load())}
    assert compared["rewind_0_dirty_ns"].verdict == "holds"
    assert compared["rewind_1000_dirty_ns"].verdict == "fails"
    assert compared["rewind_1000_dirty_ns"].ratio == pytest.approx(1 / 18.6)
    assert not compared["checkpoint_ns"].verdict
    assert "limit 1/20: fails" in str(compared["rewind_1000_dirty_ns"])


def test_what_was_not_measured_is_not_compared():
    assert list(anchors.compare(summarise([]), anchors.load())) == []


def test_a_limit_of_an_unknown_figure_is_named(tmp_path):
    path = tmp_path / "anchors.toml"
    path.write_text(anchors.FILE.read_text() + "rewind_ms = 0.1\n")
    with pytest.raises(ConfigError, match=r"limits\.rewind_ms: no such figure"):
        anchors.load(path)
