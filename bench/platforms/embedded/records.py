"""The activation record and what an answer of the action proxy means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from bench.platforms.embedded import texts
from bench.platforms.embedded.entities import Action
from bench.platforms.embedded.pool import StartKind

Status = Literal["success", "application error", "action developer error", "whisk internal error"]
STATUS_CODES: dict[str, int] = {
    "success": 0,
    "application error": 1,
    "action developer error": 2,
    "whisk internal error": 3,
}
NS_PER_MS = 1_000_000
EMPTY = msgspec.Raw(b"{}")
#: How much of a result over the limit is shown.
SHOWN_BYTES = 1024
_encode = msgspec.json.Encoder().encode


class _Fields(msgspec.Struct):
    """All that the platform must know of a result."""

    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Fields).decode
_any = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Answer:
    """What the proxy sent; `size` is the whole body's, `body` at most the limit's."""

    status: int
    body: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an activation ended; `healthy` says whether the container may go on."""

    status: Status
    result: msgspec.Raw
    size: int
    healthy: bool


def error_outcome(status: Status, text: str, *, healthy: bool = False) -> Outcome:
    """An end that is told in words."""
    body = _encode({"error": text})
    return Outcome(status, msgspec.Raw(body), len(body), healthy)


def run_outcome(answer: Answer, limit_bytes: int) -> Outcome:
    """OpenWhisk's rules for the answer to /run."""
    if answer.size > limit_bytes:
        head = answer.body[:SHOWN_BYTES].decode(errors="replace")
        text = texts.truncated(answer.size, limit_bytes, head)
        return error_outcome("application error", text, healthy=answer.status == 200)
    body = answer.body.strip()
    if answer.status == 200:
        return _result_outcome(body)
    return _proxy_error(answer, texts.invalid_run)


def init_failure(answer: Answer) -> Outcome:
    """OpenWhisk's rules for an answer to /init that is not 200."""
    return _proxy_error(answer, texts.invalid_init)


def _result_outcome(body: bytes) -> Outcome:
    try:
        if body.startswith(b"["):
            _any(body)
            return Outcome("success", msgspec.Raw(body), len(body), healthy=True)
        error = _decode(body).error
    except (msgspec.DecodeError, msgspec.ValidationError):
        text = texts.invalid_run(body[:SHOWN_BYTES].decode(errors="replace"))
        return error_outcome("action developer error", text)
    status: Status = "success" if error is msgspec.UNSET else "application error"
    return Outcome(status, msgspec.Raw(body), len(body), healthy=True)


def _proxy_error(answer: Answer, otherwise: Any) -> Outcome:
    try:
        said = _decode(answer.body).error
    except (msgspec.DecodeError, msgspec.ValidationError):
        said = msgspec.UNSET
    if isinstance(said, msgspec.Raw):
        body = b'{"error":' + bytes(said) + b"}"
        return Outcome("action developer error", msgspec.Raw(body), len(body), healthy=False)
    text = otherwise(answer.body[:SHOWN_BYTES].decode(errors="replace"))
    return error_outcome("action developer error", text)


@dataclass(slots=True, eq=False)
class Activation:
    """One activation while it goes on and until its record is complete.

    Times on the monotonic clock end in `_ns`; `start_ms` and `end_ms` are Unix time.
    """

    id: str
    action: Action
    subject: str
    receipt_ns: int
    transaction: str
    when_ended: Callable[[], None]
    start_ms: int = 0
    end_ms: int = 0
    outcome: Outcome | None = None
    timed_out: bool = False
    start_kind: StartKind | None = None
    container_id: str = ""
    container_name: str = ""
    pool_at_dispatch: dict[str, int] | None = None
    wait_ns: int = 0
    init_ns: int = 0
    run_ns: int = 0
    resent: int = 0
    #: The launcher's own figure for its work after the reply.
    busy_after_ns: int | None = None
    #: Reply to the container's word that it is ready, on the platform's clock.
    ready_after_ns: int | None = None
    #: The launcher's own account of its restore.
    restore: Mapping[str, int] = field(default_factory=dict)
    retired: str = ""
    #: Log lines by container; of several for a request that was sent again.
    log_parts: list[list[str]] = field(default_factory=list)
    #: Parts of the record that are still to come.
    pending: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    def log_part(self) -> list[str]:
        """Where the lines of one more container go; they may come before those of an earlier one."""
        self.log_parts.append([])
        return self.log_parts[-1]

    @property
    def logs(self) -> list[str]:
        """All lines, by container in the order of dispatch."""
        return [line for part in self.log_parts for line in part]

    def annotations(self) -> list[dict[str, Any]]:
        """OpenWhisk's, and ours."""
        action = self.action
        found: dict[str, Any] = {
            "path": f"{action.namespace}/{action.name}",
            "kind": action.exec.kind,
            "limits": action.limits_wire(),
            "timeout": self.timed_out,
            "waitTime": self.wait_ns // NS_PER_MS,
        }
        if self.init_ns:
            found["initTime"] = self.init_ns // NS_PER_MS
        found |= {
            "waitTimeNs": self.wait_ns,
            "initTimeNs": self.init_ns,
            "runTimeNs": self.run_ns,
            "resent": self.resent,
        }
        for key, value in (
            ("containerId", self.container_id),
            ("containerName", self.container_name),
            ("startKind", self.start_kind),
            ("poolState", self.pool_at_dispatch),
            ("busyAfter", self.busy_after_ns),
            ("readyAfter", self.ready_after_ns),
            ("restore", dict(self.restore)),
            ("retired", self.retired),
        ):
            if value not in (None, "", {}):
                found[key] = value
        return [{"key": key, "value": value} for key, value in found.items()]

    def wire(self, *, logs: bool = True) -> dict[str, Any]:
        """The whole record."""
        outcome = self.outcome or error_outcome("whisk internal error", texts.INTERNAL)
        return {
            "activationId": self.id,
            "annotations": self.annotations(),
            "duration": (self.init_ns + self.run_ns) // NS_PER_MS,
            "end": self.end_ms,
            "logs": self.logs if logs else [],
            "name": self.action.name,
            "namespace": self.action.namespace,
            "publish": False,
            "response": {
                "result": outcome.result,
                "size": outcome.size,
                "status": outcome.status,
                "success": outcome.status == "success",
            },
            "start": self.start_ms,
            "subject": self.subject,
            "version": self.action.version,
        }


def summary(record: dict[str, Any]) -> dict[str, Any]:
    """A list's entry for a whole record."""
    short = {k: v for k, v in record.items() if k not in ("response", "logs")}
    return {**short, "statusCode": STATUS_CODES[record["response"]["status"]]}
