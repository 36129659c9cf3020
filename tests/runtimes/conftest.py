"""A container without a container: proxy, compile step and launcher as plain processes."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench import process
from bench.build.proxy import proxy_step
from bench.build.step import ensure
from bench.paths import RUNTIMES

START_LIMIT_S = 20
sys.path.append(str(RUNTIMES / "common"))  # for the launcher's end of services


@dataclass
class Running:
    """A proxy that listens."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]
    http: httpx.Client

    def post(self, path: str, body: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(self.url + path, content=content)

    def init(self, code: str, *, main: str = "main", binary: bool = False, **env: Any) -> httpx.Response:
        value = {"name": "test", "main": main, "code": code, "binary": binary, "env": env}
        return self.post("/init", {"value": value})

    def start(self, code: str, **more: Any) -> Running:
        answer = self.init(code, **more)
        assert answer.status_code == 200, answer.text
        return self

    def run(self, value: Any = None, **more: Any) -> Any:
        answer = self.post("/run", {"value": value or {}, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ready(self) -> httpx.Response:
        return self.http.get(self.url + "/ready")

    def log(self) -> str:
        return (self.folder / "log").read_text()


Start = Callable[..., Running]


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    """One client for all, as each loads certificates; a connection per request, as the platform."""
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(timeout=60, limits=limits, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def proxy_binary() -> Path:
    return ensure(proxy_step()).file("proxy")


def layout(folder: Path, scheme: Path) -> Path:
    """The folder /usr/lib/rewind-bench of an image; returns the compile step."""
    shutil.copytree(RUNTIMES / "common", folder / "common")
    shutil.copytree(scheme, folder / "scheme")
    (folder / "settings").write_text(f"python={sys.executable}\nlauncher_user=root\n")
    return folder / "common" / "compile"


@pytest.fixture
def start_runtime(proxy_binary: Path, http: httpx.Client, tmp_path: Path) -> Iterator[Start]:
    """start_runtime("fork", __OW_READY_FD="4") starts that runtime with more environment."""
    with contextlib.ExitStack() as stack:

        def start(scheme: str | Path = "baseline", **env: str) -> Running:
            folder = tmp_path / f"container-{len(list(tmp_path.iterdir()))}"
            compiler = layout(folder, RUNTIMES / scheme)
            port = free_port()
            argv = [str(proxy_binary), "-listen", f"127.0.0.1:{port}", "-actions", str(folder / "action")]
            whole = {"PATH": "/usr/bin:/bin", "OW_COMPILER": str(compiler), "OW_WAIT_FOR_ACK": "1"}
            started = process.running(argv, env=whole | env, log=folder / "log", cwd=folder)
            running = Running(f"http://127.0.0.1:{port}", folder, stack.enter_context(started), http)
            await_port(port)
            return running

        yield start


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_port(port: int) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert time.monotonic() < deadline, "nothing listens"
