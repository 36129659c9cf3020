"""The harness's side of a load: start the worker, watch it, collect and check what it recorded."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from bench import process
from bench.check import expected, mismatch_in_body
from bench.errors import CommandError, LoadError
from bench.load.plan import (
    BODIES,
    LATE_NS,
    LOG,
    PLAN,
    REQUESTS,
    SUMMARY,
    ActionCalls,
    Body,
    LoadPlan,
    Record,
    Summary,
    read_lines,
)
from bench.paths import ROOT
from bench.plugins import Workload
from bench.store import schemas

POLL_S = 0.25
#: Beyond the plan's own limits: start of the interpreter, spawning users, the drain.
EXTRA_S = 60.0

_CELL_COLUMNS = schemas.REQUESTS.get_field_index("index")
#: The table `requests` without the cell's key, which the load does not know.
SCHEMA = pa.schema(list(schemas.REQUESTS)[_CELL_COLUMNS:])

#: Called with the number of finished requests and of all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class LoadResult:
    """What became of a load; `table` has one row of `SCHEMA` per request that was due."""

    table: pa.Table
    sent: int  # as counted by locust's request events
    late: int
    dropped: int
    failed: int  # sent, but no right answer came; the wrong ones included
    wrong: int
    started_s: float  # Unix time of intended_ns = 0, on the harness's clock
    duration_s: float
    realtime: bool  # the generator had real-time scheduling (without, a busy machine makes it late)

    @property
    def requests(self) -> int:
        """Number of requests that were due."""
        return int(self.table.num_rows)


def action_calls(workload: Workload, size: str, name: str = "") -> ActionCalls:
    """How `workload` is called at `size`; `name` is its action on the platform (default: the same)."""
    return ActionCalls(name or workload.name, (workload.spec.sizes[size],), (expected(workload, size),))


def run_load(plan: LoadPlan, out: Path, *, on_progress: Progress | None = None) -> LoadResult:
    """Carry out `plan` in a process of its own; raw files go to the folder `out`.

    Raises LoadError when the generator died or did not end in time, DiskFullError when that was
    why. What it had recorded until then stays in `out`, and `collect` reads it.
    """
    _check(plan)
    out.mkdir(parents=True, exist_ok=True)
    for name in (REQUESTS, BODIES, SUMMARY, LOG):
        (out / name).unlink(missing_ok=True)
    with process.disk_full_is_typed("writing the load's plan"):
        (out / PLAN).write_bytes(msgspec.json.encode(plan))
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    argv = [sys.executable, "-m", "bench.load.worker", str(out / PLAN), str(out), str(os.getpid())]
    with process.running(argv, log=out / LOG, env={**os.environ, "PYTHONPATH": path}) as worker:
        _watch(worker, plan, out, on_progress)
    if worker.returncode != 0 or not (out / SUMMARY).is_file():
        _raise_died(argv, worker.returncode, plan, out)
    return collect(plan, out)


def collect(plan: LoadPlan, out: Path) -> LoadResult:
    """Check and count what the worker recorded in `out`, be it all or not."""
    replies = {body.digest: body.content for body in read_lines(out / BODIES, Body)}
    verdicts: dict[tuple[str, str, int], str] = {}
    rows: list[dict[str, Any]] = []
    wrong = 0
    for record in sorted(read_lines(out / REQUESTS, Record), key=lambda one: one.index):
        arrival = plan.arrivals[record.index]
        error = record.error
        if record.status == HTTPStatus.OK and not error:
            key = (record.body, arrival.action, arrival.params)
            if key not in verdicts:
                verdicts[key] = _verdict(plan, *key, replies)
            error = verdicts[key]
            wrong += bool(error)
        rows.append(_row(plan, record, error))
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    summary = _summary(out)
    unsent = sum(row["actual_ns"] is None for row in rows)
    return LoadResult(
        table=table,
        sent=summary.sent if summary else len(rows) - unsent,
        late=sum(_is_late(row) for row in rows),
        dropped=unsent,
        failed=sum(not row["ok"] for row in rows) - unsent,
        wrong=wrong,
        started_s=summary.started_s if summary else 0.0,
        duration_s=summary.duration_s if summary else _last_end_s(rows),
        realtime=summary is not None and summary.realtime,
    )


def keyed(table: pa.Table, cell: Mapping[str, Any]) -> pa.Table:
    """The table with its cell's key (experiment, scheme, workload, params, repetition) put before it."""
    for place, field in enumerate(list(schemas.REQUESTS)[:_CELL_COLUMNS]):
        table = table.add_column(place, field, pa.array([cell[field.name]] * table.num_rows, field.type))
    return table.cast(schemas.REQUESTS)


def _check(plan: LoadPlan) -> None:
    for arrival in plan.arrivals:
        calls = plan.actions.get(arrival.action)
        if calls is None or not 0 <= arrival.params < min(len(calls.params), len(calls.expected)):
            raise LoadError(
                f"the schedule calls '{arrival.action}' with parameter set {arrival.params}, "
                "which the plan does not have",
                hint="this is a fault of the experiment's code",
            )


def _watch(worker: subprocess.Popen[bytes], plan: LoadPlan, out: Path, on_progress: Progress | None) -> None:
    last_s = 0.0 if plan.clients else plan.arrivals[-1].intended_ns / 1e9 if plan.arrivals else 0.0
    limit_s = (plan.max_duration_s if plan.clients else min(last_s, plan.max_duration_s)) + EXTRA_S
    end = time.monotonic() + limit_s + plan.request_timeout_s
    finished, offset, running = 0, 0, True
    while running:
        try:
            worker.wait(POLL_S)
            running = False
        except subprocess.TimeoutExpired:
            if time.monotonic() > end:
                raise LoadError(
                    f"the load did not end within {limit_s + plan.request_timeout_s:.0f} s",
                    hint=f"see {out / LOG}; what was recorded is in {out}",
                ) from None
        new, offset = _new_lines(out / REQUESTS, offset)
        finished += new
        if on_progress is not None and (new or not running):
            on_progress(finished, len(plan.arrivals))


def _new_lines(path: Path, offset: int) -> tuple[int, int]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return 0, offset
    return data.count(b"\n"), offset + len(data)


def _raise_died(argv: list[str], status: int, plan: LoadPlan, out: Path) -> None:
    finished, _ = _new_lines(out / REQUESTS, 0)
    try:
        process.raise_failed(process.Completed(tuple(argv), status, b"", b""), out / LOG)
    except CommandError as error:
        raise LoadError(
            f"the load generator ended with status {status} "
            f"after {finished} of {len(plan.arrivals)} requests",
            hint=f"see {out / LOG}; the finished requests are kept in {out}",
        ) from error


def _verdict(plan: LoadPlan, digest: str, action: str, params: int, replies: Mapping[str, bytes]) -> str:
    due = plan.actions[action].expected[params]
    content = replies.get(digest)
    if content is None:
        return "the reply's body was not kept"
    if due is None:
        return ""
    return mismatch_in_body(content, due)


def _row(plan: LoadPlan, record: Record, error: str) -> dict[str, Any]:
    arrival = plan.arrivals[record.index]
    return {
        "index": record.index,
        "action": arrival.action,
        "warmup": arrival.warmup,
        "intended_ns": record.intended_ns,
        "actual_ns": record.actual_ns,
        "end_ns": record.end_ns,
        "status": record.status,
        "ok": not error,
        "error": error,
        "activation_id": record.activation_id,
    }


def _last_end_s(rows: Sequence[Mapping[str, Any]]) -> float:
    return max((row["end_ns"] or 0 for row in rows), default=0) / 1e9


def _is_late(row: Mapping[str, Any]) -> bool:
    return row["actual_ns"] is not None and row["actual_ns"] - row["intended_ns"] > LATE_NS


def _summary(out: Path) -> Summary | None:
    path = out / SUMMARY
    return msgspec.json.decode(path.read_bytes(), type=Summary) if path.is_file() else None
