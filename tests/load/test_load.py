"""The load worker against a real HTTP server: what it sends, counts, keeps and survives."""

import socket
from itertools import pairwise

import pytest

from bench.check import Expected
from bench.errors import LoadError
from bench.load.driver import SCHEMA, action_calls, collect, keyed, run_load
from bench.load.plan import PLAN, REQUESTS, ActionCalls
from bench.load.schedule import Arrival, back_to_back, constant, poisson, repeat, with_warmup
from bench.plugins import workloads
from bench.store import schemas

pytestmark = pytest.mark.slow

CELL = {"experiment": "e", "scheme": "s", "workload": "w", "params": "{}", "repetition": 1}


def at(*times_ms, params=0):
    return [Arrival(round(time * 1e6), "echo", params) for time in times_ms]


def rows(result):
    return result.table.to_pylist()


def test_every_request_is_sent_counted_and_recorded(make_plan, counts, tmp_path):
    seen = []
    plan = make_plan(with_warmup(poisson(repeat("echo", 100), 400, seed=1), 10))
    result = run_load(plan, tmp_path, on_progress=lambda *progress: seen.append(progress))
    assert counts()["invocations"] == result.sent == result.requests == 100
    assert (result.failed, result.dropped, result.wrong) == (0, 0, 0)
    assert result.table.schema == SCHEMA
    for index, (row, arrival) in enumerate(zip(rows(result), plan.arrivals, strict=True)):
        assert (row["index"], row["intended_ns"]) == (index, arrival.intended_ns)
        assert row["warmup"] == (index < 10)
        assert row["intended_ns"] <= row["actual_ns"] < row["end_ns"]
        assert (row["status"], row["ok"], row["error"], row["action"]) == (200, True, "", "echo")
    assert len({row["activation_id"] for row in rows(result)}) == 100
    stored = keyed(result.table, CELL)
    assert stored.schema == schemas.REQUESTS
    assert set(stored["scheme"].to_pylist()) == {"s"}
    assert seen[-1] == (100, 100)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_open_loop_sends_whatever_became_of_earlier_requests(make_plan, tmp_path):
    plan = make_plan([*at(0), *at(50, 100, 150, params=1)], {"delay_ms": 800}, {"n": 2})
    slow, *quick = rows(run_load(plan, tmp_path))
    assert all(row["end_ns"] < slow["end_ns"] for row in quick)
    assert slow["end_ns"] - slow["intended_ns"] >= 800e6


def test_arrival_without_a_free_user_is_dropped_and_counted(make_plan, counts, tmp_path):
    plan = make_plan(at(0, 1, 2, 3, 4), {"delay_ms": 500}, users=3)
    result = run_load(plan, tmp_path)
    assert (result.dropped, result.sent, counts()["invocations"]) == (2, 3, 3)
    assert result.failed == 0
    dropped = [row for row in rows(result) if row["actual_ns"] is None]
    assert [row["index"] for row in dropped] == [3, 4]
    for row in dropped:
        assert row["error"] == "dropped: all 3 users were waiting for replies"
        assert (row["ok"], row["status"], row["end_ns"]) == (False, None, None)


def test_arrivals_after_the_time_limit_are_dropped(make_plan, counts, tmp_path):
    result = run_load(make_plan(at(0, 100, 60_000, 90_000), max_duration_s=0.5), tmp_path)
    assert (result.sent, result.dropped, counts()["invocations"]) == (2, 2, 2)
    assert rows(result)[3]["error"] == "dropped: due after the load's time limit"


def test_generator_that_falls_behind_says_so(make_plan, tmp_path):
    # 3000 requests due at once cannot all start within 5 ms of each other.
    result = run_load(make_plan(at(*[0] * 3000), users=3000), tmp_path)
    late = [row for row in rows(result) if row["actual_ns"] and row["actual_ns"] - row["intended_ns"] > 5e6]
    assert result.late == len(late) > 0
    assert result.sent == 3000


def test_closed_loop_keeps_each_client_at_one_request(make_plan, counts, tmp_path):
    plan = make_plan(back_to_back(repeat("echo", 24)), {"delay_ms": 20}, clients=3)
    result = run_load(plan, tmp_path)
    counted = counts()
    assert result.sent == counted["invocations"] == result.requests == 24
    assert counted["connections"] <= 5  # kept alive: one per client, one each for asking the stub
    events = sorted((time, change) for row in rows(result) for time, change in
                    ((row["actual_ns"], 1), (row["end_ns"], -1)))  # fmt: skip
    running = peak = 0
    for _, change in events:
        running += change
        peak = max(peak, running)
    assert peak == 3
    assert all(row["intended_ns"] <= row["actual_ns"] for row in rows(result))


def test_closed_loop_thinks_and_ends_at_its_limit(make_plan, tmp_path):
    plan = make_plan(back_to_back(repeat("echo", 10_000)), clients=1, think_s=0.1, max_duration_s=0.6)
    result = run_load(plan, tmp_path)
    assert 2 <= result.requests <= 7
    ordered = rows(result)
    for before, after in pairwise(ordered):
        assert after["intended_ns"] - before["end_ns"] >= 99e6


FAILURES = [
    ({"status": 502, "body": '{"error": "boom\\nbang"}'}, "502: boom bang"),
    ({"status": 502, "body": '{"response": {"result": {"error": "deep"}}}'}, "502: deep"),
    ({"status": 429, "body": '{"code": "x", "error": "Too many requests"}'}, "429: Too many requests"),
    ({"status": 202, "body": '{"activationId": "a"}'}, "202: still running"),
    ({"status": 500, "body": ""}, "500: empty reply"),
    ({"status": 503, "body": "<h1>no</h1>"}, "503: <h1>no</h1>"),
    ({"drop": True}, "HTTPConnectionClosed"),
    ({"body": "no JSON"}, "result is not JSON"),
    ({"body": '{"echo": {"n": 2}}'}, "result.echo.n is 2, must be 1"),
]


def test_failed_requests_are_recorded_with_their_reasons(make_plan, counts, tmp_path):
    params = [one for one, _ in FAILURES] + [{"n": 1}]
    good = len(FAILURES)
    arrivals = [arrival for index in range(good) for arrival in (*at(0, params=index), *at(0, params=good))]
    due = Expected({"echo": {"n": 1}})
    result = run_load(make_plan(arrivals, *params, expected=[due] * len(params)), tmp_path)
    for row, (sent, reason) in zip(rows(result)[::2], FAILURES, strict=True):
        assert row["error"].startswith(reason)
        assert "\n" not in row["error"]
        assert not row["ok"]
        assert row["status"] == (None if "drop" in sent else sent.get("status", 200))
        assert row["end_ns"] > row["actual_ns"]
    assert all(row["ok"] for row in rows(result)[1::2])
    assert (result.failed, result.wrong) == (good, 2)
    assert result.sent == counts()["invocations"] == len(arrivals)  # none is sent again


def test_request_that_outlasts_its_time_is_an_error(make_plan, tmp_path):
    plan = make_plan(at(0), {"delay_ms": 60_000}, request_timeout_s=0.5)
    (row,) = rows(run_load(plan, tmp_path))
    assert "timed out" in row["error"].lower()
    assert 0.4e9 < row["end_ns"] - row["actual_ns"] < 5e9


def test_platform_that_is_not_there_is_an_error_per_request(make_plan, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: refused
        result = run_load(make_plan(at(0, 1), url=f"http://127.0.0.1:{unused.getsockname()[1]}"), tmp_path)
    assert result.failed == 2
    assert all("refused" in row["error"] for row in rows(result))


def test_wrong_credentials_are_an_error(make_plan, tmp_path):
    result = run_load(make_plan(at(0), auth="user:guess"), tmp_path)
    assert rows(result)[0]["error"] == "401: The supplied authentication is invalid"


def test_calls_of_a_workload_carry_its_parameters_and_expected_result():
    calls = action_calls(workloads()["hello"], "tiny", name="rb-hello")
    assert calls == ActionCalls("rb-hello", ({"name": "world"},), (Expected({"greeting": "Hello, world!"}),))


def test_empty_schedule_ends_at_once(make_plan, tmp_path):
    assert run_load(make_plan([]), tmp_path).requests == 0


def test_schedule_of_an_unknown_action_is_refused(make_plan, tmp_path):
    with pytest.raises(LoadError, match="calls 'nothing'"):
        run_load(make_plan([Arrival(0, "nothing")]), tmp_path)
    assert not (tmp_path / PLAN).exists()


def test_collect_takes_this_loads_whole_lines_only(make_plan, tmp_path):
    (tmp_path / REQUESTS).write_bytes(b'{"index":9,"intended_ns":1}\n')  # of an earlier load
    plan = make_plan(constant(repeat("echo", 5), 100))
    run_load(plan, tmp_path)
    with (tmp_path / REQUESTS).open("ab") as file:
        file.write(b'{"index":5,"intended')  # cut short by a kill
    assert [row["index"] for row in rows(collect(plan, tmp_path))] == [0, 1, 2, 3, 4]
