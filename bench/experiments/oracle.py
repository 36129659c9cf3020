"""Does each request compute from what it was given, whatever the last one did?

Every request alters, after its work, what the next one computes from (bench/oracle/wrapper.py). Under
`baseline` every workload must answer wrongly from the second request on: that is the negative control.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from pydantic import Field

from bench import check
from bench.experiments.base import Bed, Cell, Experiment, Outcome, Settings, sweep
from bench.experiments.drive import FRESH
from bench.oracle import Answer, judge, oracle_code
from bench.plugins import Scheme, Workload
from bench.store.rows import OracleRow


class Oracle(Settings):
    """Requests per cell, one after the other, each as soon as the last is answered."""

    requests: int = Field(200, ge=2)


def plan(
    settings: Oracle, schemes: Sequence[Scheme], workloads: Sequence[Workload], pool_mb: int
) -> list[Cell]:
    """Every scheme × workload × repetition."""
    return sweep("oracle", settings, schemes, workloads, pool_mb)


def measure(cell: Cell, bed: Bed, settings: Oracle) -> Outcome:
    """One action, whose every answer is judged."""
    assert cell.workload is not None  # noqa: S101  (the plan makes no mix cells)
    name = f"oracle-{cell.scheme.name}-{cell.workload.name}-r{cell.repetition}"
    spec = cell.workload.spec
    bed.client.put_action(
        name,
        image=bed.images[cell.scheme.runtime],
        code=oracle_code(cell.workload, bed.size),
        memory_mb=spec.memory_mb,
        timeout_ms=min(300_000, round(spec.timeout_ms * bed.slowdown)),
        annotations={FRESH: True} if cell.scheme.spec.fresh_container else {},
    )
    try:
        answers = _answers(cell.workload, name, bed, settings.requests)
    finally:
        bed.client.delete_action(name, missing_ok=True)
    control = not cell.scheme.spec.isolates
    return Outcome(
        rows={"oracle": [_row(index, answer) for index, answer in enumerate(answers)]},
        requests=len(answers),
        wrong=0 if control else sum(bool(answer.wrong) for answer in answers),
        problems=judge(answers, cell.scheme),
    )


def _answers(workload: Workload, name: str, bed: Bed, count: int) -> list[Answer]:
    due = check.expected(workload, bed.size)
    inputs = workload.spec.sizes[bed.size]
    answers = []
    for _ in range(count):
        nonce = secrets.token_hex(8)
        invoked = bed.client.invoke(name, {"nonce": nonce, "inputs": inputs})
        answers.append(Answer.of(invoked.result, nonce, due, invoked.container_id))
    return answers


def _row(index: int, answer: Answer) -> OracleRow:
    return OracleRow(
        index=index, container_id=answer.container_id, wrong=answer.wrong, altered=",".join(answer.altered)
    )


EXPERIMENT = Experiment("oracle", __doc__.splitlines()[0], Oracle, plan, measure)
