"""A small client of the OpenWhisk REST interface, for the embedded platform and the real one."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

from bench.errors import ActionError, PlatformError
from bench.platforms.activations import Activation, Limits, PlatformStats, activation_of

SPACE = "/api/v1/namespaces/_"
#: Longer than any blocking invocation may last.
TIMEOUT_S = 75.0
POLL_S = 0.1


class Client:
    """Calls of one namespace; every failure to answer is a PlatformError.

    Not for measured load: its requests come one after the other.
    """

    def __init__(self, api_host: str, auth: str, *, timeout_s: float = TIMEOUT_S) -> None:
        user, _, password = auth.partition(":")
        host = api_host if "://" in api_host else f"http://{api_host}"
        # The environment's proxies and certificates are not for a testbed.
        self._http = httpx.Client(
            base_url=host.rstrip("/"), auth=(user, password), timeout=timeout_s, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def wait_ready(self, timeout_s: float) -> None:
        """Return when the platform answers; PlatformError when it does not within the time."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                answer = self._http.get("/ping", timeout=2.0)
                if answer.status_code == httpx.codes.OK:
                    return
                last = f"status {answer.status_code}"
            except httpx.HTTPError as error:
                last = str(error) or type(error).__name__
            if time.monotonic() > end:
                raise PlatformError(
                    f"the platform at {self._http.base_url} does not answer: {last}",
                    hint="look at the platform's log in the run folder",
                )
            time.sleep(POLL_S)

    def put_action(  # noqa: PLR0913 - an action's own parts
        self,
        name: str,
        *,
        code: str | bytes,
        image: str | None = None,
        kind: str = "python:3",
        main: str | None = None,
        memory_mb: int | None = None,
        timeout_ms: int | None = None,
        parameters: Mapping[str, Any] | None = None,
        annotations: Mapping[str, Any] | None = None,
    ) -> None:
        """Create or replace an action; with an image it is a blackbox, bytes are a zip or a binary."""
        binary = isinstance(code, bytes)
        spec: dict[str, Any] = {
            "kind": kind if image is None else "blackbox",
            "code": base64.b64encode(code).decode() if isinstance(code, bytes) else code,
            "binary": binary,
        }
        optional = {"image": image, "main": main}
        spec |= {key: value for key, value in optional.items() if value is not None}
        limits = {"memory": memory_mb, "timeout": timeout_ms}
        body = {
            "namespace": "_",
            "name": name,
            "exec": spec,
            "limits": {key: value for key, value in limits.items() if value is not None},
            "parameters": _pairs(parameters),
            "annotations": _pairs(annotations),
        }
        self._call("PUT", f"{SPACE}/actions/{name}", params={"overwrite": "true"}, json=body)

    def delete_action(self, name: str, *, missing_ok: bool = False) -> None:
        """Delete an action, and with it its warm containers."""
        answer = self._send("DELETE", f"{SPACE}/actions/{name}")
        if not (missing_ok and answer.status_code == httpx.codes.NOT_FOUND):
            _checked(answer)

    def actions(self) -> list[str]:
        """Names of all actions, at most 200."""
        found = self._call("GET", f"{SPACE}/actions", params={"limit": "0"})
        return [entry["name"] for entry in found]

    def invoke(self, name: str, params: Mapping[str, Any] | None = None) -> Activation:
        """Invoke and wait; ActionError when the platform gave up waiting, PlatformError when it refused.

        An action that failed is an answer too: see `success` and `status`.
        """
        answer = self._send(
            "POST", f"{SPACE}/actions/{name}", params={"blocking": "true"}, json=dict(params or {})
        )
        if answer.status_code == httpx.codes.ACCEPTED:
            raise ActionError(
                f"'{name}' is still running after the longest blocking time",
                hint="a smaller size of the workload, or invoke without waiting",
            )
        record = _json(answer)
        if not isinstance(record, dict) or "activationId" not in record:
            _checked(answer)
            raise _unexpected(answer)
        return activation_of(record)

    def invoke_async(self, name: str, params: Mapping[str, Any] | None = None) -> str:
        """Invoke and return the activation's id at once."""
        body = self._call("POST", f"{SPACE}/actions/{name}", json=dict(params or {}))
        return str(body["activationId"])

    def activation(self, activation_id: str, *, timeout_s: float = 10.0) -> Activation:
        """The complete record; waits for it to appear."""
        end = time.monotonic() + timeout_s
        while True:
            answer = self._send("GET", f"{SPACE}/activations/{activation_id}")
            if answer.status_code != httpx.codes.NOT_FOUND or time.monotonic() > end:
                return activation_of(_checked(answer))
            time.sleep(POLL_S)

    def activations(
        self, *, name: str | None = None, since_ms: int | None = None, limit: int = 200, skip: int = 0
    ) -> list[Activation]:
        """Whole records, the newest first, at most 200 at once (page with `skip`)."""
        params: dict[str, Any] = {"docs": "true", "limit": limit, "skip": skip}
        params |= {} if name is None else {"name": name}
        params |= {} if since_ms is None else {"since": since_ms}
        return [activation_of(record) for record in self._call("GET", f"{SPACE}/activations", params=params)]

    def limits(self) -> Limits:
        """What the namespace may have."""
        return msgspec.convert(self._call("GET", f"{SPACE}/limits"), Limits)

    def stats(self) -> PlatformStats | None:
        """The embedded platform's own figures; None on any other."""
        answer = self._send("GET", "/rewind-bench/stats")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        return msgspec.convert(_checked(answer), PlatformStats)

    def _call(self, method: str, path: str, **kwargs: Any) -> Any:
        return _checked(self._send(method, path, **kwargs))

    def _send(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **kwargs)
        except httpx.HTTPError as error:
            raise PlatformError(
                f"{method} {path}: {error or type(error).__name__}",
                hint="the platform ended or is not reachable: look at its log in the run folder",
            ) from error


def _pairs(values: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in (values or {}).items()]


def _json(answer: httpx.Response) -> Any:
    try:
        return msgspec.json.decode(answer.content)
    except msgspec.DecodeError as error:
        raise _unexpected(answer) from error


def _checked(answer: httpx.Response) -> Any:
    body = _json(answer)
    if answer.is_success:
        return body
    said = body.get("error", "") if isinstance(body, dict) else ""
    hint = ""
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        hint = "raise the platform's throttles: its defaults reject most benchmark loads"
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        hint = "the key does not belong to this platform ('wsk property get --auth' shows yours)"
    raise PlatformError(
        f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {said}", hint=hint
    )


def _unexpected(answer: httpx.Response) -> PlatformError:
    return PlatformError(
        f"{answer.request.method} {answer.request.url.path}: {answer.status_code},"
        f" but no JSON of OpenWhisk's: {answer.text[:200]!r}",
        hint="is this the address of an OpenWhisk-compatible platform?",
    )
