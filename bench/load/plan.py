"""What harness and load worker agree on: the plan of a load, and the files the worker writes.

    plan.json        the plan (harness)
    requests.jsonl   one line per finished or dropped request, written when it ends (worker)
    bodies.jsonl     each distinct reply once, base64, under its digest (worker)
    summary.json     what the worker counted, written last (worker)
    worker.log       whatever the worker had to say

The worker appends with one unbuffered write per line, so that neither its death nor the
harness's loses a finished request.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bench.check import Expected
from bench.load.schedule import Arrival

PLAN = "plan.json"
REQUESTS = "requests.jsonl"
BODIES = "bodies.jsonl"
SUMMARY = "summary.json"
LOG = "worker.log"

#: Longest a request may start after its intended time without counting as late.
LATE_NS = 5_000_000

T = TypeVar("T")


class ActionCalls(msgspec.Struct, frozen=True):
    """How an action is called and what it must answer.

    `name` is its name on the platform; `params` the parameter sets that calls refer to by index;
    `expected` what each of them must answer (None: any JSON object will do).
    """

    name: str
    params: tuple[dict[str, Any], ...]
    expected: tuple[Expected | None, ...]


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One load: where to, what, when.

    Open loop (`clients` 0): every arrival is sent at its time whatever became of earlier ones, with
    at most `users` in flight; one that finds no free user is dropped. Closed loop (`clients` > 0):
    that many clients take the arrivals in order, each as soon as its last reply is there and
    `think_s` have passed.

    After `max_duration_s` nothing more is sent: what is due later is dropped (open loop) or left
    out (closed loop). A reply is awaited for `request_timeout_s`, also beyond that end.
    """

    url: str  # scheme, host and port of the platform
    auth: str  # "user:password"
    actions: dict[str, ActionCalls]
    arrivals: tuple[Arrival, ...]
    clients: int = 0
    think_s: float = 0.0
    users: int = 500
    request_timeout_s: float = 90.0
    max_duration_s: float = 3600.0


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request as the worker saw it, not yet checked; times as in the table `requests`."""

    index: int
    intended_ns: int
    actual_ns: int | None = None
    end_ns: int | None = None
    status: int | None = None
    error: str = ""
    activation_id: str = ""
    body: str = ""  # digest of the reply's body


class Body(msgspec.Struct, frozen=True):
    """A distinct reply."""

    digest: str
    base64: str

    @property
    def content(self) -> bytes:
        """The reply's bytes."""
        return base64.b64decode(self.base64)


class Summary(msgspec.Struct, frozen=True):
    """The worker's own counts, for comparison with the records and with the containers."""

    sent: int  # as locust's request events say
    failed: int
    started_s: float  # Unix time of the load's start
    duration_s: float
    realtime: bool = False  # the worker ran under real-time scheduling


def read_lines(path: Path, kind: type[T]) -> Iterator[T]:
    """The records of a file of JSON lines; a last line cut short by a kill is left out."""
    if not path.is_file():
        return
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield decoder.decode(line)
