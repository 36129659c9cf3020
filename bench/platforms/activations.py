"""What a platform's answers hold, typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

NS_PER_MS = 1_000_000


@dataclass(frozen=True)
class Activation:
    """An activation record. `_ns` figures of the real OpenWhisk are whole milliseconds.

    From a blocking call, `logs`, `busy_after_ns`, `ready_after_ns` and `retired` are not known
    yet: ask for the record.
    """

    id: str
    name: str
    #: "success", "application error", "action developer error", "whisk internal error"
    status: str
    result: Any
    start_ms: int
    end_ms: int
    #: Receipt to the start of init or run.
    wait_ns: int
    #: 0 in a warm container.
    init_ns: int
    run_ns: int
    cold: bool
    #: "warm", "prewarmed", "cold"; "" where the platform does not tell.
    start_kind: str
    container_id: str
    #: Reply to the launcher being ready again, by its own clock; None: not told.
    busy_after_ns: int | None
    #: Reply to the container's confirmation, by the platform's clock; None: not told.
    ready_after_ns: int | None
    #: What the launcher told of its restore, by name; empty: nothing.
    restore: dict[str, int]
    #: The pool when the request was dispatched, e.g. {"idle": 1, "usedMb": 512, ...}.
    pool: dict[str, int]
    #: Times that the request was sent to another container.
    resent: int
    #: Why the container was not used again, if it failed after the reply.
    retired: str
    timed_out: bool
    logs: tuple[str, ...]

    @property
    def success(self) -> bool:
        """Whether the action returned a result without an error."""
        return self.status == "success"


class Limits(msgspec.Struct, frozen=True, rename="camel"):
    """GET .../limits, the part that matters to a load."""

    invocations_per_minute: int
    concurrent_invocations: int
    max_action_memory: int | None = None
    min_action_memory: int | None = None
    max_action_timeout: int | None = None


class ContainerStats(msgspec.Struct, frozen=True, rename="camel"):
    """A container of the pool."""

    id: str
    name: str
    action: str
    phase: str
    served: int
    memory_mb: int


class PlatformStats(msgspec.Struct, frozen=True, rename="camel"):
    """The embedded platform's own figures: differences of two give its share of the CPUs."""

    #: CPU time of the platform's process.
    cpu_ns: int
    #: The testbed's monotonic clock.
    now_ns: int
    pool: dict[str, int]
    #: "resent", "retired", "cold", "removed: evicted", ... since the start.
    counters: dict[str, int]
    containers: list[ContainerStats]


def activation_of(record: dict[str, Any]) -> Activation:
    """A typed record from OpenWhisk's JSON."""
    notes = {note["key"]: note.get("value") for note in record.get("annotations", [])}
    response = record["response"]
    init_ns = _ns(notes, "initTimeNs", "initTime")
    duration_ns = int(record.get("duration") or 0) * NS_PER_MS
    run_ns = notes["runTimeNs"] if "runTimeNs" in notes else max(0, duration_ns - init_ns)
    return Activation(
        id=record["activationId"],
        name=record["name"],
        status=response["status"],
        result=response.get("result"),
        start_ms=record["start"],
        end_ms=record.get("end") or 0,
        wait_ns=_ns(notes, "waitTimeNs", "waitTime"),
        init_ns=init_ns,
        run_ns=run_ns,
        cold=notes.get("startKind", "cold" if "initTime" in notes else "warm") != "warm",
        start_kind=notes.get("startKind", ""),
        container_id=notes.get("containerId", ""),
        busy_after_ns=notes.get("busyAfter"),
        ready_after_ns=notes.get("readyAfter"),
        restore=notes.get("restore", {}),
        pool=notes.get("poolState", {}),
        resent=notes.get("resent", 0),
        retired=notes.get("retired", ""),
        timed_out=bool(notes.get("timeout")),
        logs=tuple(record.get("logs", ())),
    )


def _ns(notes: dict[str, Any], ours: str, theirs: str) -> int:
    return int(notes[ours] if ours in notes else (notes.get(theirs) or 0) * NS_PER_MS)
