"""What all load experiments share: put actions, drive them with locust, fetch the records."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from bench.experiments.base import Bed, Cell, Outcome
from bench.load import schedule
from bench.load.driver import LoadResult, action_calls, run_load
from bench.load.plan import LoadPlan
from bench.load.schedule import Arrival
from bench.packaging import action_code
from bench.platforms.activations import Activation, PlatformStats
from bench.plugins import Scheme, Workload
from bench.store.rows import ActivationRow, RequestRow, RestoreRow, Row

#: Tells the embedded platform never to reuse a container of this action.
FRESH = "rewind-bench-fresh"
#: Native time limit of one request, beyond the action's own: queueing and a container's start.
REQUEST_MARGIN_S = 60.0
#: Native time limit of one load.
MAX_DURATION_S = 3600.0


@contextlib.contextmanager
def actions(
    bed: Bed, scheme: Scheme, workloads: Sequence[Workload], cell: Cell
) -> Iterator[dict[str, list[str]]]:
    """One action for each workload; maps the workload's name to the action's. Removed at the end."""
    with _put(bed, scheme, {_action_name(cell, w.name, 0): w for w in workloads}):
        yield {w.name: [_action_name(cell, w.name, 0)] for w in workloads}


@contextlib.contextmanager
def copies(bed: Bed, scheme: Scheme, workload: Workload, cell: Cell, count: int) -> Iterator[list[str]]:
    """The same workload as `count` actions, so that each gets a container of its own."""
    names = [_action_name(cell, workload.name, number) for number in range(count)]
    with _put(bed, scheme, dict.fromkeys(names, workload)):
        yield names


def drive(
    bed: Bed,
    arrivals: Sequence[Arrival],
    names: Mapping[str, Sequence[str]],
    *,
    clients: int = 0,
    think_s: float = 0.0,
    users: int = 500,
) -> Outcome:
    """Send the arrivals (whose actions are workload names) and collect requests and activations.

    Where a workload has several actions, its arrivals take them in turn.
    """
    by_name = {w.name: w for w in bed.workloads}
    calls = {
        action: action_calls(by_name[workload], bed.size, action)
        for workload, targets in names.items()
        for action in targets
    }
    workload_of = {action: workload for workload, targets in names.items() for action in targets}
    slowest_s = max(by_name[w].spec.timeout_ms for w in names) / 1000
    plan = LoadPlan(
        url=bed.endpoint.api_host,
        auth=bed.endpoint.auth,
        actions=calls,
        arrivals=tuple(_in_turn(arrivals, names)),
        clients=clients,
        think_s=think_s,
        users=users,
        request_timeout_s=(slowest_s + REQUEST_MARGIN_S) * bed.slowdown,
        max_duration_s=MAX_DURATION_S * bed.slowdown,
    )
    before = bed.client.stats()
    result = run_load(plan, bed.scratch)
    share = _cpu_share(before, bed.client.stats(), bed.cpus)
    requests = [
        RequestRow(**{**row, "action": workload_of[row["action"]]}) for row in result.table.to_pylist()
    ]
    return Outcome(
        rows={"requests": requests, **_records(bed, requests)},
        requests=len(arrivals),
        late=result.late,
        dropped=result.dropped,
        wrong=result.wrong,
        platform_cpu_share=share,
        problems=_problems(result, requests),
    )


def one_action(bed: Bed, cell: Cell, *, requests: int, warmup: int, clients: int, think_s: float) -> Outcome:
    """One action of the cell's workload, each client sending its next request after the reply."""
    if cell.workload is None:
        raise ValueError(f"a cell of {cell.experiment} is of one workload")
    with actions(bed, cell.scheme, [cell.workload], cell) as names:
        arrivals = schedule.back_to_back(schedule.repeat(cell.workload.name, requests + warmup))
        arrivals = schedule.with_warmup(arrivals, warmup)
        return drive(bed, arrivals, names, clients=clients, think_s=think_s)


def activation_row(record: Activation, workload: str, *, warmup: bool) -> ActivationRow:
    """A platform's record as a row."""
    return ActivationRow(
        activation_id=record.id,
        action=workload,
        warmup=warmup,
        container_id=record.container_id,
        cold=record.cold,
        wait_ns=record.wait_ns,
        init_ns=record.init_ns,
        run_ns=record.run_ns,
        busy_after_ns=record.busy_after_ns,
        success=record.success,
    )


def restore_row(record: Activation, workload: str, *, warmup: bool) -> RestoreRow:
    """What the launcher told of the restore after a request; names that we do not know are left out."""
    known = {name: record.restore[name] for name in RestoreRow.__struct_fields__ if name in record.restore}
    return RestoreRow(
        activation_id=record.id, action=workload, warmup=warmup, container_id=record.container_id, **known
    )


def _records(bed: Bed, requests: Sequence[RequestRow]) -> dict[str, Sequence[Row]]:
    """Activations and restores by table; none of the latter where no launcher tells."""
    found = [(row, bed.client.activation(row.activation_id)) for row in requests if row.activation_id]
    restores = [restore_row(told, row.action, warmup=row.warmup) for row, told in found if told.restore]
    activations = [activation_row(told, row.action, warmup=row.warmup) for row, told in found]
    return {"activations": activations, **({"restores": restores} if restores else {})}


def _cpu_share(before: PlatformStats | None, after: PlatformStats | None, cpus: int) -> float | None:
    """Of the testbed's CPU time between two readings, the part that the platform's process used."""
    if before is None or after is None or after.now_ns <= before.now_ns:
        return None
    return (after.cpu_ns - before.cpu_ns) / ((after.now_ns - before.now_ns) * cpus)


def _problems(result: LoadResult, requests: Sequence[RequestRow]) -> list[str]:
    """Why a cell whose load ran to its end must not count as measured."""
    answered = [row for row in requests if row.end_ns is not None]
    failed = [row for row in answered if not row.ok]
    if result.wrong:
        first = next(row.error for row in failed if row.status is not None and row.status < 300)
        return [f"{result.wrong} of {len(answered)} answers were wrong, the first: {first}"]
    if answered and len(failed) == len(answered):
        why = f"all {len(answered)} requests failed, the first: {failed[0].error}"
        return [f"{why} (more: logs/platform-*.log)"]
    return [] if answered else ["no request was answered"]


@contextlib.contextmanager
def _put(bed: Bed, scheme: Scheme, wanted: Mapping[str, Workload]) -> Iterator[None]:
    annotations = {FRESH: True} if scheme.spec.fresh_container else {}
    put: list[str] = []
    try:
        for name, workload in wanted.items():
            code = action_code(workload)
            bed.client.put_action(
                name,
                image=bed.images[scheme.runtime],
                code=base64.b64decode(code.code) if code.binary else code.code,
                main=code.main,
                memory_mb=workload.spec.memory_mb,
                timeout_ms=min(300_000, round(workload.spec.timeout_ms * bed.slowdown)),
                annotations=annotations,
            )
            put.append(name)
        yield
    finally:
        for name in put:
            bed.client.delete_action(name, missing_ok=True)


def _in_turn(arrivals: Sequence[Arrival], names: Mapping[str, Sequence[str]]) -> Iterator[Arrival]:
    turn = dict.fromkeys(names, 0)
    for arrival in arrivals:
        targets = names[arrival.action]
        yield msgspec.structs.replace(arrival, action=targets[turn[arrival.action] % len(targets)])
        turn[arrival.action] += 1


def _action_name(cell: Cell, workload: str, number: int) -> str:
    pool = f"-{cell.pool_mb}" if cell.workload is None else ""
    return f"{cell.experiment}-{cell.scheme.name}-{workload}{pool}-r{cell.repetition}-{number}"
