"""Actions as clients write and read them."""

from __future__ import annotations

import re
import time
from typing import Any

import msgspec

from bench.platforms.embedded import texts
from bench.platforms.embedded.answers import ApiError
from bench.platforms.embedded.config import Config, Limits

#: OpenWhisk's EntityName.
NAME = re.compile(r"[\w]|[\w][\w@ .&-]{0,254}[\w@.&-]")

#: An action with this annotation set to true never shares a container between requests.
FRESH = "rewind-bench-fresh"


class KeyValue(msgspec.Struct, frozen=True):
    """A parameter or an annotation."""

    key: str
    value: Any = None


class ExecBody(msgspec.Struct, frozen=True):
    """`exec` of a PUT."""

    kind: str
    code: str | None = None
    image: str | None = None
    main: str | None = None
    binary: bool = False


class LimitsBody(msgspec.Struct, frozen=True):
    """`limits` of a PUT."""

    timeout: int | None = None
    memory: int | None = None
    logs: int | None = None
    concurrency: int | None = None


class ActionBody(msgspec.Struct, frozen=True):
    """The body of a PUT; what clients send beside these is ignored, as in the original."""

    exec: ExecBody | None = None
    limits: LimitsBody | None = None
    parameters: list[KeyValue] | None = None
    annotations: list[KeyValue] | None = None
    publish: bool = False


class Action(msgspec.Struct, frozen=True):
    """A stored action."""

    namespace: str
    name: str
    version: str
    exec: ExecBody
    timeout_ms: int
    memory_mb: int
    logs_mb: int
    parameters: list[KeyValue]
    annotations: list[KeyValue]
    publish: bool
    updated_ms: int
    #: Grows with every change, over deletion too: warm containers belong to one revision.
    revision: int

    @property
    def fresh(self) -> bool:
        """Whether every request gets a new container."""
        return any(a.key == FRESH and a.value is True for a in self.annotations)

    def limits_wire(self) -> dict[str, int]:
        """The limits as in answers and in activation annotations."""
        return {
            "concurrency": 1,
            "logs": self.logs_mb,
            "memory": self.memory_mb,
            "timeout": self.timeout_ms,
        }

    def wire(self, *, code: bool = True) -> dict[str, Any]:
        """The answer to GET and PUT."""
        spec: dict[str, Any] = {"kind": self.exec.kind, "binary": self.exec.binary}
        for key in ("image", "main", *(["code"] if code else [])):
            value = getattr(self.exec, key)
            if value is not None:
                spec[key] = value
        return {**self.summary(), "exec": spec, "parameters": self.parameters}

    def summary(self) -> dict[str, Any]:
        """An entry of the list."""
        return {
            "annotations": self.annotations,
            "exec": {"binary": self.exec.binary},
            "limits": self.limits_wire(),
            "name": self.name,
            "namespace": self.namespace,
            "publish": self.publish,
            "updated": self.updated_ms,
            "version": self.version,
        }


def make(namespace: str, name: str, body: ActionBody, old: Action | None, config: Config) -> Action:
    """A new action, or the next version of an old one; ApiError 400 for what is not valid."""
    spec = body.exec if body.exec is not None else old.exec if old is not None else None
    if spec is None:
        raise ApiError(400, texts.EXEC_MISSING)
    spec = _resolved(spec, config)
    asked = body.limits or LimitsBody()
    annotations = [a for a in _inherited(body, old) if a.key not in ("exec", "provide-api-key")]
    annotations += [KeyValue("provide-api-key", value=False), KeyValue("exec", spec.kind)]
    limits = config.limits
    action = Action(
        namespace=namespace,
        name=name,
        version=_next(old.version) if old else "0.0.1",
        exec=spec,
        timeout_ms=_given(asked.timeout, old.timeout_ms if old else limits.std_timeout_ms),
        memory_mb=_given(asked.memory, old.memory_mb if old else limits.std_memory_mb),
        logs_mb=_given(asked.logs, old.logs_mb if old else limits.max_logs_mb),
        parameters=body.parameters if body.parameters is not None else old.parameters if old else [],
        annotations=annotations,
        publish=body.publish,
        updated_ms=time.time_ns() // 1_000_000,
        revision=time.time_ns(),
    )
    _check(action, asked.concurrency, limits)
    return action


def _inherited(body: ActionBody, old: Action | None) -> list[KeyValue]:
    if body.annotations is not None:
        return body.annotations
    return old.annotations if old is not None else []


def _resolved(spec: ExecBody, config: Config) -> ExecBody:
    if spec.kind == "blackbox":
        if not spec.image:
            raise ApiError(
                400, texts.malformed("'image' must be a string defined in 'exec' for 'blackbox' actions")
            )
        return spec
    kind = spec.kind
    if kind.endswith(":default"):
        family = kind.removesuffix("default")
        kind = next((k for k, v in config.kinds.items() if k.startswith(family) and v.default), kind)
    if kind not in config.kinds:
        raise ApiError(400, texts.malformed(texts.unsupported_kind(spec.kind, [*config.kinds, "blackbox"])))
    if spec.code is None:
        raise ApiError(
            400,
            texts.malformed(
                f"'code' must be a string or attachment object defined in 'exec' for '{kind}' actions"
            ),
        )
    return msgspec.structs.replace(spec, kind=kind)


def _check(action: Action, concurrency: int | None, limits: Limits) -> None:
    for what, value, least, most, unit in (
        ("memory size", action.memory_mb, limits.min_memory_mb, limits.max_memory_mb, "MB"),
        ("timeout", action.timeout_ms, limits.min_timeout_ms, limits.max_timeout_ms, "milliseconds"),
        ("log size", action.logs_mb, 0, limits.max_logs_mb, "MB"),
        ("concurrency", concurrency if concurrency is not None else 1, 1, 1, ""),
    ):
        side = "exceeds" if value > most else "below" if value < least else ""
        if side:
            edge = most if value > most else least
            text = f"{what} {value} {unit} {side} allowed threshold of {edge} {unit}".replace(
                "  ", " "
            ).strip()
            raise ApiError(400, texts.requirement(text))
    size = len(action.exec.code or "")
    if size > limits.code_bytes:
        raise ApiError(413, f"exec.code larger than allowed: {size} > {limits.code_bytes} bytes.")


def _given(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _next(version: str) -> str:
    head, _, patch = version.rpartition(".")
    return f"{head}.{int(patch) + 1}"
