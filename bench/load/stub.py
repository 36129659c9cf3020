"""A stand-in for the platform: answers invocations at once, or as the request's parameters say.

    python -m bench.load.stub [AUTH]

Prints its port on a line of its own. Used to measure the load generator by itself, and by tests.
The parameters of a request: `delay_ms` before the reply, `status`, `body` (text, instead of the
JSON `{"echo": params}`), `drop` (close the connection without a reply). GET /count tells how many
invocations came, and over how many connections.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Callable
from typing import Any

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


class Stub:
    """Counts and answers."""

    def __init__(self, auth: str = "") -> None:
        self.invocations = 0
        self.connections = 0
        self._token = f"Basic {base64.b64encode(auth.encode()).decode()}" if auth else ""

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """One connection, kept alive."""
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if not await self._answer(head[0], headers, body, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, line: str, headers: dict[str, str], body: bytes, writer: Writer) -> bool:
        if line.startswith("GET /count "):
            counts = {"invocations": self.invocations, "connections": self.connections}
            await _reply(writer, 200, json.dumps(counts).encode(), 0)
            return True
        if not line.startswith("POST "):
            await _reply(writer, 200, b"{}", 0)
            return True
        self.invocations += 1
        if self._token and headers.get("authorization") != self._token:
            await _reply(writer, 401, b'{"error":"The supplied authentication is invalid"}', self.invocations)
            return True
        params: dict[str, Any] = json.loads(body)
        if params.get("delay_ms"):
            await asyncio.sleep(params["delay_ms"] / 1000)
        if params.get("drop"):
            return False
        content = params["body"].encode() if "body" in params else json.dumps({"echo": params}).encode()
        await _reply(writer, params.get("status", 200), content, self.invocations)
        return True


async def _reply(writer: Writer, status: int, content: bytes, number: int) -> None:
    head = (
        f"HTTP/1.1 {status} Stub\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nx-openwhisk-activation-id: {number:032x}\r\n\r\n"
    )
    writer.write(head.encode() + content)
    await writer.drain()


async def run(auth: str, ready: Callable[[int], None]) -> None:
    """Serve on a free port of 127.0.0.1 until cancelled; `ready` is told the port."""
    server = await asyncio.start_server(Stub(auth).serve, "127.0.0.1", 0, backlog=1024)
    ready(server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1] if len(sys.argv) > 1 else "", lambda port: print(port, flush=True)))
