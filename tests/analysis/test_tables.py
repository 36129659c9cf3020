"""Tables and figures' figures against numbers computed by hand."""

import numpy as np
import pytest
import synthetic_run

from analysis import frames, tables
from analysis.figures import breakdown, cold_start, memory, overview, saturation, throughput
from bench import store

S = 1_000_000_000


def request(index, intended_s, end_s, *, ok=True, warmup=False, action="hello", identity=None):
    return store.RequestRow(
        index=index,
        action=action,
        warmup=warmup,
        intended_ns=int(intended_s * S),
        actual_ns=int(intended_s * S),
        end_ns=None if end_s is None else int(end_s * S),
        status=200 if ok else None,
        ok=ok,
        error="" if ok else "no answer",
        activation_id=identity or "",
    )


def activation(identity, container, *, run_s, wait_s=0.0, init_s=0.0, after_s=None, cold=False, success=True):
    return store.ActivationRow(
        activation_id=identity,
        action="hello",
        warmup=False,
        container_id=container,
        cold=cold,
        wait_ns=int(wait_s * S),
        init_ns=int(init_s * S),
        run_ns=int(run_s * S),
        busy_after_ns=None if after_s is None else int(after_s * S),
        success=success,
    )


def made(path, cells, **facts):
    with store.RunFolder.create(path, synthetic_run.manifest()) as run:
        for key, rows in cells.items():
            run.record(
                store.CellRecord.of(
                    key, started_s=0.0, ended_s=1.0, boot_id="b", **facts.get(key.scheme, {})
                ),
                rows,
            )
    return frames.load(path)


def key(experiment, scheme, repetition=0, **params):
    return store.CellKey.of(experiment, scheme, "hello", params, repetition)


def test_latency_counts_from_intended_arrival_without_warm_up_and_counts_failures(tmp_path):
    rows = [
        request(0, 0, 9, warmup=True),
        request(1, 1, 2),
        request(2, 2, 5),
        request(3, 3, 5),
        request(4, 4, None, ok=False),
        request(5, 5, 90, ok=False),
    ]
    run = made(
        tmp_path, {key("latency", "baseline"): {"requests": rows}}, baseline={"platform_cpu_share": 0.21}
    )
    (row,) = tables.latency(run).to_dict("records")
    assert (row["n"], row["failed"], row["warmup"]) == (5, 2, 1)
    assert (row["median_s"], row["max_s"]) == (pytest.approx(2.0), pytest.approx(3.0))
    assert np.isnan(row["p95_s"])  # five requests have no such tail
    assert row["platform_bound"]
    assert np.isnan(row["median_s_low"])


def test_tails_count_failed_requests_as_never_answered(tmp_path):
    def rows(failed):
        return [request(i, 0, i + 1, ok=i >= failed) for i in range(100)]

    failed = {"fork": 0, "cold": 2, "rewind": 6}
    cells = {key("latency", name): {"requests": rows(count)} for name, count in failed.items()}
    found = tables.latency(made(tmp_path, cells)).set_index("scheme")
    assert found.loc["fork", "p95_s"] == pytest.approx(95.05)
    assert found.loc["fork", "p99_s"] == pytest.approx(99.01)
    assert found.loc["cold", "p95_s"] == pytest.approx(97.05)  # rank 94.05 of the right ones, 3 to 100
    assert np.isnan(found.loc["cold", "p99_s"])
    assert np.isnan(found.loc["rewind", "p95_s"])


def test_ratios_are_of_medians_against_the_reference_in_the_same_load(tmp_path):
    run = made(
        tmp_path,
        {
            key("latency", "baseline"): {"requests": [request(i, 0, t) for i, t in enumerate((1, 2, 3))]},
            key("latency", "fork"): {"requests": [request(i, 0, t) for i, t in enumerate((3, 5, 9))]},
            key("latency", "snapshot"): {"requests": [request(0, 0, 4)]},
        },
    )
    ratios = tables.relative(run).set_index(["scheme", "against"])["ratio"].to_dict()
    assert ratios == {
        ("baseline", "baseline"): 1.0,
        ("baseline", "snapshot"): 0.5,
        ("fork", "baseline"): 2.5,
        ("fork", "snapshot"): 1.25,
        ("snapshot", "baseline"): 2.0,
    }
    whole = overview.table(run)
    whole = whole[whole["action"] == "all"]
    assert list(whole["scheme"]) == ["baseline", "snapshot", "fork"]
    assert list(whole["ratio"]) == pytest.approx([1.0, 2.0, 2.5])
    assert "Slowest: fork at 2.50" in overview.finding(overview.table(run))


def test_the_parts_of_a_request_add_up_to_its_latency(tmp_path):
    rows = [request(0, 0, 1.0, identity="x"), request(1, 1, 4.0, identity="y")]
    served = [
        activation("x", "c", wait_s=0.2, run_s=0.5, after_s=0.1),
        activation("y", "d", wait_s=1.0, init_s=0.6, run_s=0.7, after_s=0.3, cold=True),
    ]
    run = made(tmp_path, {key("latency", "baseline"): {"requests": rows, "activations": served}})
    (row,) = breakdown.table(run).to_dict("records")
    parts = {name: row[name] for name in ("wait_s", "init_s", "run_s", "rest_s", "busy_after_s", "latency_s")}
    assert parts == pytest.approx(
        {"wait_s": 0.6, "init_s": 0.3, "run_s": 0.6, "rest_s": 0.5, "busy_after_s": 0.2, "latency_s": 2.0}
    )
    (summary,) = tables.latency(run).to_dict("records")
    assert (summary["cold_share"], summary["containers"]) == (0.5, 2)


def test_cold_starts_are_averaged_and_failed_ones_only_counted(tmp_path):
    served = [
        activation("1", "a", wait_s=1, init_s=2, run_s=3, cold=True),
        activation("2", "b", wait_s=3, init_s=2, run_s=1, cold=True),
        activation("3", "b", run_s=50),
        activation("4", "c", wait_s=99, run_s=99, cold=True, success=False),
    ]
    run = made(tmp_path, {key("cold_start", "cold"): {"activations": served}})
    (row,) = cold_start.table(run).to_dict("records")
    assert [row[n] for n in ("wait_s", "init_s", "run_s", "total_s")] == pytest.approx([2, 2, 2, 6])
    assert (row["n"], row["failed"]) == (2, 1)


def test_throughput_is_right_answers_over_the_time_to_the_last_answer(tmp_path):
    # 4 arrivals over 3 s (1 a second), the last answer at 8 s; three are right.
    rows = [request(0, 0, 2), request(1, 1, 3), request(2, 2, 8), request(3, 3, 5, ok=False)]
    run = made(tmp_path, {key("throughput", "fork", pool_mb=512): {"requests": rows}})
    (row,) = throughput.table(run).to_dict("records")
    assert row["completed_per_s"] == pytest.approx(3 / 8)
    assert row["offered_per_s"] == pytest.approx(1.0)
    assert row["failed_share"] == 0.25


def test_pools_are_in_order_of_size(tmp_path):
    run = made(
        tmp_path,
        {key("throughput", "fork", pool_mb=p): {"requests": [request(0, 0, 1)]} for p in (4096, 512, 1024)},
    )
    assert list(throughput.table(run)["params"]) == [
        '{"pool_mb":512}',
        '{"pool_mb":1024}',
        '{"pool_mb":4096}',
    ]


def test_saturation_charges_the_time_after_the_reply(tmp_path):
    rows = [request(0, 0, 1, identity="x"), request(1, 0, 2, identity="y")]
    served = [activation("x", "c", run_s=0.5, after_s=0.25), activation("y", "c", run_s=0.7, after_s=0.05)]
    run = made(tmp_path, {key("saturation", "fork"): {"requests": rows, "activations": served}})
    (row,) = saturation.table(run).to_dict("records")
    assert (row["completed_per_s"], row["busy_ms"]) == (pytest.approx(1.0), pytest.approx(750.0))


def test_memory_takes_each_containers_last_sample_and_the_guests_slope(tmp_path):
    mib = 2**20
    rows = [store.MemoryRow(containers=n, available_bytes=(1000 - 50 * n) * mib) for n in range(4)]
    rows += [
        store.MemoryRow(
            containers=2,
            container_id=name,
            requests=served,
            pss_bytes=pss * mib,
            private_bytes=10 * mib,
            rss_bytes=90 * mib,
        )
        for name, served, pss in (("a", 1, 20), ("a", 10, 40), ("b", 10, 60), ("b", 2, 5))
    ]
    run = made(tmp_path, {key("memory", "fork"): {"memory": rows}})
    (row,) = memory.table(run).to_dict("records")
    assert row["pss_mb"] == pytest.approx(50)
    assert (row["private_mb"], row["rss_mb"], row["containers"]) == (10, 90, 2)
    assert row["slope_mb"] == pytest.approx(50)
    assert row["slope_mb_low"] == pytest.approx(50)
