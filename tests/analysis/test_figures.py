"""Figures show their table, say where it comes from, and are the same bytes every time."""

import functools

import matplotlib as mpl
import pytest
import synthetic_run
from matplotlib.colors import to_hex

from analysis import frames
from analysis.figures import (
    all_figures,
    breakdown,
    checkpoint,
    latency,
    memory,
    overview,
    restore,
    throughput,
)
from analysis.plotting.canvas import digits, seconds
from analysis.plotting.save import drawn, render
from analysis.plotting.style import scheme_styles
from bench import store

FIGURES = {module.META.name: module for module in all_figures()}


def draw(module, run):
    return drawn(lambda: module.draw(module.table(run), run))


@pytest.fixture(scope="module")
def drawing(run):
    """Each figure of the shared run, drawn once; tests only look at it."""
    return functools.cache(lambda module: draw(module, run))


def texts(figure):
    return "\n".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def bars(figure, prefix):
    return {
        patch.get_gid(): patch
        for patch in figure.findobj(mpl.patches.Rectangle)
        if (patch.get_gid() or "").startswith(prefix)
    }


def test_all_figures_are_found_by_being_there():
    assert set(FIGURES) == {
        "overview", "latency", "breakdown", "throughput", "memory", "cold_start", "saturation",
        "audit", "oracle", "restore", "checkpoint",
    }  # fmt: skip
    assert next(iter(FIGURES)) == "overview"


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_says_what_it_was_taken_on(drawing, name):
    said = texts(drawing(FIGURES[name]))
    for part in ("clock wall", "accelerator tcg", "Linux 6.12.48-rewind", "containers, 1 boot", "run small"):
        assert part in said
    assert "one boot: variance between boots not measured" in said
    for scheme in ("baseline", "fork", "cold"):
        assert scheme in said
    assert FIGURES[name].META.title in said


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_measured_is_an_empty_table_and_no_crash(tmp_path, name):
    store.RunFolder.create(tmp_path, synthetic_run.manifest()).close()
    assert len(FIGURES[name].table(frames.load(tmp_path))) == 0


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.slow
def test_drawing_twice_gives_the_same_bytes(run_dir, name):
    kinds = ("png", "svg", "pdf") if name == "overview" else ("svg",)
    first, second = (
        [render(draw(FIGURES[name], frames.load(run_dir)), kind) for kind in kinds] for _ in range(2)
    )
    assert first == second
    assert all(len(content) > 2000 for content in first)


def test_bars_are_as_high_as_the_table_says(run, drawing):
    table = memory.table(run)
    found = bars(drawing(memory), "bar:pss_mb:")
    assert len(found) == len(table) == 6
    for row in table.itertuples():
        assert found[f"bar:pss_mb:{row.workload}:{row.scheme}"].get_height() == pytest.approx(row.pss_mb)
    table = throughput.table(run)
    found = bars(drawing(throughput), "bar:completed_per_s:")
    for row in table.itertuples():
        height = found[f"bar:completed_per_s:{row.params}:{row.scheme}"].get_height()
        assert height == pytest.approx(row.completed_per_s)


def test_stacked_parts_add_up_to_the_mean_latency_in_the_panels_unit(run, drawing):
    table = breakdown.table(run)
    hello = table[(table["action"] == "hello") & (table["scheme"] == "baseline")].iloc[0]
    first = drawing(breakdown).axes[0]
    parts = [
        p
        for p in first.patches
        if (p.get_gid() or "").endswith(":baseline") and "busy_after" not in p.get_gid()
    ]
    assert sum(p.get_width() for p in parts) == pytest.approx(hello["latency_s"] * 1000)
    assert seconds(hello["latency_s"]) in {text.get_text() for text in first.texts}


def test_cumulative_curves_end_where_failures_begin(run, drawing):
    table = latency.table(run)
    figure = drawing(latency)
    curves = {line.get_gid(): line for line in figure.findobj(mpl.lines.Line2D) if line.get_gid()}
    for row in table.itertuples():
        curve = curves[f"cdf:{row.action}:{row.scheme}"]
        assert curve.get_ydata()[-1] == pytest.approx((row.n - row.failed) / row.n)
        assert curve.get_xdata()[-1] == pytest.approx(row.max_s)
    assert table["failed"].sum() > 0
    assert "imgproc†" in texts(figure)


def test_the_overview_sorts_by_cost_and_prints_the_ratios(run, drawing):
    table = overview.table(run)
    whole = table[table["action"] == "all"]
    assert list(whole["scheme"]) == ["baseline", "fork", "cold"]
    figure = drawing(overview)
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["baseline", "fork", "cold"]
    for row in whole.itertuples():
        assert f"{digits(row.ratio)}×" in texts(figure)
    marks = {
        line.get_gid(): line.get_xdata()[0]
        for line in axis.lines
        if (line.get_gid() or "").startswith("ratio:")
    }
    assert marks["ratio:baseline"] < marks["ratio:fork"] < marks["ratio:cold"]


def test_cells_with_failures_and_platform_bound_cells_are_marked(tmp_path):
    with store.RunFolder.create(tmp_path, synthetic_run.manifest()) as run:
        writer = synthetic_run.Writer(run, failing={("fork", "hello")}, bound={("cold", "hello")})
        for scheme in ("baseline", "fork", "cold"):
            writer.load_cell("throughput", scheme, "hello", {"pool_mb": 512}, 0, count=60)
    made = frames.load(tmp_path)
    figure = draw(throughput, made)
    found = bars(figure, "bar:completed_per_s:")
    hatched = {name.rpartition(":")[2] for name, bar in found.items() if bar.get_hatch()}
    assert hatched == {"fork"}
    said = texts(figure)
    assert "invocations failed, in the marked cells" in said
    assert "‡ platform used over 20 % of the CPUs: supports no claim" in said
    assert {"†", "‡"} <= {text.get_text() for text in figure.axes[0].texts}


def test_the_load_offered_is_the_rate_asked_for_and_named(tmp_path):
    """Not what a few requests that came close together seem to say."""
    params = {"pool_mb": 512, "rate_per_s": 1.0}
    with store.RunFolder.create(tmp_path, synthetic_run.manifest()) as run:
        writer = synthetic_run.Writer(run)
        for scheme in ("baseline", "cold"):
            writer.load_cell("throughput", scheme, "hello", params, 0, count=12)
    made = frames.load(tmp_path)
    assert set(throughput.table(made)["offered_per_s"]) == {1.0}
    said = texts(draw(throughput, made))
    assert "load offered" in said
    assert "pool 512 MB, rate 1.0 requests/s" in said


def test_schemes_keep_their_colour_when_others_are_left_out():
    every = ["baseline", "cold", "fork", "snapshot", "rewind", "rewind-mem"]
    styles = scheme_styles(every)
    assert len({style.colour for style in styles.values()}) == len(every)
    assert len({style.marker for style in styles.values()}) == len(every)
    for left_out in every:
        some = scheme_styles([name for name in every if name != left_out])
        assert all(some[name] == styles[name] for name in some)
    many = scheme_styles([f"scheme{i}" for i in range(8)])
    assert len({to_hex(style.colour) for style in many.values()}) == 8
    assert len(scheme_styles([f"scheme{i}" for i in range(20)])) == 20


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123, "12.3 ms"),
        (7.0, "7.00 s"),
        (0.9996, "1,000 ms"),
        (2e-7, "200 ns"),
        (0.0, "0 s"),
        (float("nan"), "–"),
    ],
)
def test_durations_are_written_with_three_digits(value, text):
    assert seconds(value) == text


def test_parts_of_a_restore_add_up_to_what_the_container_was_busy(run):
    table = restore.table(run)
    assert set(table["scheme"]) == {"baseline", "fork"}  # cold has none
    told = table[table["told"]]
    assert len(told)
    for row in told.itertuples():
        parts = sum(getattr(row, name) for name in restore.SEGMENTS)
        assert parts == pytest.approx(row.restore_s, rel=1e-6)
        assert row.files_s == pytest.approx(row.restore_s / 4, rel=1e-3)
    assert "most goes to" in restore.finding(table)


def test_a_checkpoint_counts_once_for_each_container(run):
    table = checkpoint.table(run)
    told = run.restores[run.restores["checkpoint_ns"].notna()]
    assert table["n"].sum() == told["container_id"].nunique()
    assert set(table["checkpoint_s"].round(9)) == {0.0012}
