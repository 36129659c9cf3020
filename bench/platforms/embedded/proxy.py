"""The action proxy's HTTP interface as the platform uses it: /init, /run, /ready."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
import msgspec

from bench.platforms.embedded.driver import Container
from bench.platforms.embedded.records import Answer

#: While a container comes up its port refuses; OpenWhisk tries again every 50 ms.
FIRST_RETRY_S = 0.002
LAST_RETRY_S = 0.05
READ_BYTES = 64 * 1024
JSON = {"Content-Type": "application/json"}
REFUSED = (aiohttp.ClientConnectorError,)


class LostError(Exception):
    """The proxy closed the connection, or was not there; `sent` is False if it never saw the request."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class _ReadyBody(msgspec.Struct, frozen=True):
    ready: bool = False
    busy_ns: int | None = None
    restore: dict[str, int] = {}
    error: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """The container's word after a reply; `supported` is False for proxies without /ready."""

    supported: bool
    ready: bool
    busy_ns: int | None = None
    reason: str = ""
    #: What the launcher told of its restore, by name.
    restore: Mapping[str, int] = field(default_factory=dict)


class ProxyClient:
    """HTTP to all containers of a platform."""

    def __init__(self, *, payload_bytes: int, keep_alive: bool) -> None:
        self._limit = payload_bytes
        connector = aiohttp.TCPConnector(
            limit=0, force_close=not keep_alive, keepalive_timeout=3600.0 if keep_alive else None
        )
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False, headers=JSON)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def init(self, container: Container, body: bytes, limit_s: float) -> Answer:
        """POST /init, tried until the port is open; TimeoutError, LostError."""
        async with asyncio.timeout(limit_s):
            if container.relayed:
                await self._until_http(container)
            return await self._until_open(container, "/init", body)

    async def run(self, container: Container, body: bytes, limit_s: float) -> Answer:
        """POST /run; TimeoutError, LostError."""
        async with asyncio.timeout(limit_s):
            try:
                return await self._post(container, "/run", body)
            except aiohttp.ServerDisconnectedError:
                if container.gone.is_set():
                    raise LostError("container is gone", sent=True) from None
                raise LostError("connection closed without an answer", sent=True) from None
            except REFUSED as error:
                raise LostError(str(error), sent=False) from error
            except (aiohttp.ClientError, OSError) as error:
                raise LostError(str(error), sent=True) from error

    async def ready(self, container: Container, limit_s: float) -> Readiness:
        """GET /ready: returns when the launcher can take the next request, or says why not."""
        try:
            async with asyncio.timeout(limit_s), self._session.get(container.url + "/ready") as answer:
                if answer.status == 404:
                    return Readiness(supported=False, ready=True)
                body = await answer.content.read(READ_BYTES)
                status = answer.status
        except TimeoutError:
            return Readiness(supported=True, ready=False, reason=f"not ready within {limit_s:.0f} s")
        except (aiohttp.ClientError, OSError) as error:
            return Readiness(supported=True, ready=False, reason=f"no answer to /ready: {error}")
        try:
            said = msgspec.json.decode(body, type=_ReadyBody)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return Readiness(supported=True, ready=False, reason=f"/ready answered {body[:200]!r}")
        ready = status == 200 and said.ready
        reason = "" if ready else said.error or f"/ready answered {status}"
        return Readiness(
            supported=True, ready=ready, busy_ns=said.busy_ns, reason=reason, restore=said.restore
        )

    async def _until_http(self, container: Container) -> None:
        """A published port accepts connections before the container does: wait for an answer."""
        delay_s = FIRST_RETRY_S
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with self._session.get(container.url + "/"):
                    return
            delay_s = await _pause(container, delay_s)

    async def _until_open(self, container: Container, path: str, body: bytes) -> Answer:
        delay_s = FIRST_RETRY_S
        while True:
            try:
                return await self._post(container, path, body)
            except REFUSED:
                delay_s = await _pause(container, delay_s)
            except (aiohttp.ClientError, OSError) as error:
                raise LostError(str(error) or type(error).__name__, sent=True) from error

    async def _post(self, container: Container, path: str, body: bytes) -> Answer:
        async with self._session.post(container.url + path, data=body) as answer:
            told = answer.content_length
            if told is not None and told <= self._limit:
                data = await answer.content.read(-1)
                if len(data) < told:
                    raise aiohttp.ClientPayloadError("answer is cut short")
                return Answer(answer.status, data, len(data))
            return await self._read_long(answer, told)

    async def _read_long(self, answer: aiohttp.ClientResponse, told: int | None) -> Answer:
        """Read no more than the limit of a body that may be any size, but count it all."""
        kept = bytearray()
        size = 0
        async for chunk in answer.content.iter_chunked(READ_BYTES):
            size += len(chunk)
            if len(kept) <= self._limit:
                kept += chunk
            elif told is not None:
                answer.close()
                return Answer(answer.status, bytes(kept[: self._limit]), told)
        return Answer(answer.status, bytes(kept), size)


async def _pause(container: Container, delay_s: float) -> float:
    """Wait before the next try, at most until the container is gone (then LostError)."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(container.gone.wait(), delay_s)
    if container.gone.is_set():
        raise LostError("container ended", sent=False)
    return min(delay_s * 2, LAST_RETRY_S)
