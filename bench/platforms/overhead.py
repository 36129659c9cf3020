"""What the platform adds to a call: echo through platform and proxy, beside the proxy alone.

All are plain processes on this machine, so that no container runtime is in the figure.
"""

from __future__ import annotations

import base64
import http.client
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import process
from bench.errors import PlatformError
from bench.hosts.leftovers import short_folder
from bench.platforms.client import Client
from bench.platforms.deploy import local_platform
from bench.platforms.embedded.config import GUEST_KEY, Config, ProcessImage, Throttles

#: An ActionLoop launcher that does nothing but answer with the argument.
ECHO = """#!/bin/sh
exec "$REWIND_BENCH_PYTHON" -S -E -c '
import json, os, sys
out = os.fdopen(3, "wb", buffering=0)
for line in sys.stdin.buffer:
    out.write(json.dumps(json.loads(line)["value"]).encode() + b"\\n")
'
"""
IMAGE = "echo"
PATH = "/api/v1/namespaces/_/actions/echo?blocking=true"
HEADERS = {
    "Authorization": "Basic " + base64.b64encode(GUEST_KEY.encode()).decode(),
    "Content-Type": "application/json",
}
BODY = json.dumps({"number": 1, "text": "hello"}).encode()
START_S = 20.0


@dataclass(frozen=True)
class Timing:
    """Of sequential calls, connection kept open."""

    n: int
    median_ns: int
    p99_ns: int


@dataclass(frozen=True)
class Overhead:
    """`through` includes everything that `direct` does."""

    direct: Timing
    through: Timing
    #: The platform's own CPU time per call.
    cpu_ns_per_call: int

    @property
    def added_median_ns(self) -> int:
        """What the platform adds to the median call."""
        return self.through.median_ns - self.direct.median_ns


def measure(proxy: Path, *, calls: int = 1000, warmup: int = 200) -> Overhead:
    """Measure with the action proxy's binary; takes a few seconds.

    Raises PlatformError when platform or proxy do not start.
    """
    with short_folder() as folder:
        direct = _direct(proxy, folder, calls, warmup)
        image = ProcessImage(
            argv=[str(proxy), "-listen", "127.0.0.1:{port}", "-actions", "{dir}/action"],
            env={"__OW_REWIND_BENCH": "1"},
        )
        many = Throttles(invocations_per_minute=10**9, concurrent_invocations=10**6)
        config = Config(port=0, driver="process", processes={IMAGE: image}, throttles=many)
        with local_platform(config, folder) as deployed, deployed.endpoint.client() as client:
            client.put_action("echo", image=IMAGE, code=_echo())
            before = _cpu_ns(client)
            through = _timed(deployed.address.port, PATH, HEADERS, calls, warmup)
            cpu_ns = (_cpu_ns(client) - before) // (calls + warmup)
    return Overhead(direct, through, cpu_ns)


def _echo() -> str:
    return ECHO.replace("$REWIND_BENCH_PYTHON", sys.executable)


def _cpu_ns(client: Client) -> int:
    stats = client.stats()
    if stats is None:
        raise PlatformError("the embedded platform does not tell its figures")
    return stats.cpu_ns


def _direct(proxy: Path, folder: Path, calls: int, warmup: int) -> Timing:
    with _proxy_alone(proxy, folder) as port:
        init = json.dumps({"value": {"name": "echo", "main": "main", "code": _echo(), "env": {}}})
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
        link.request("POST", "/init", init, {"Content-Type": "application/json"})
        answer = link.getresponse()
        said = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise PlatformError(f"the action proxy refused the echo launcher: {said[:300]!r}")
        link.close()
        body = msgspec.json.encode({"value": msgspec.Raw(BODY)})
        return _timed(port, "/run", {"Content-Type": "application/json"}, calls, warmup, body)


@contextmanager
def _proxy_alone(proxy: Path, folder: Path) -> Iterator[int]:
    from bench.platforms.embedded.process_driver import free_port  # noqa: PLC0415 - needs asyncio only there

    port = free_port()
    argv = [str(proxy), "-listen", f"127.0.0.1:{port}", "-actions", str(folder / "action")]
    with process.running(argv, log=folder / "proxy.log"):
        _until(lambda: _answers(port))
        yield port


def _answers(port: int) -> bool:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        link.request("GET", "/ready")
        link.getresponse().read()
    except OSError:
        return False
    finally:
        link.close()
    return True


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + START_S
    while not true():
        if time.monotonic() > end:
            raise PlatformError(f"the action proxy did not answer within {START_S:.0f} s")
        time.sleep(0.01)


def _timed(
    port: int, path: str, headers: dict[str, str], calls: int, warmup: int, body: bytes = BODY
) -> Timing:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
    found: list[int] = []
    for _ in range(warmup + calls):
        begin_ns = time.perf_counter_ns()
        link.request("POST", path, body, headers)
        answer = link.getresponse()
        said = answer.read()
        found.append(time.perf_counter_ns() - begin_ns)
        if answer.status != http.HTTPStatus.OK:
            raise PlatformError(f"the echo action answered {answer.status}: {said[:300]!r}")
    link.close()
    measured = sorted(found[warmup:])
    return Timing(calls, int(statistics.median(measured)), measured[int(calls * 0.99)])
