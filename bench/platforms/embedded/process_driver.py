"""Containers that are none: the real action proxy as a plain local process.

For the overhead benchmark and fast tests; nothing is isolated and no memory limit holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
from pathlib import Path

from bench.platforms.embedded.config import Config, ProcessImage
from bench.platforms.embedded.driver import Container, ContainerSpec, PullError, StartError
from bench.platforms.embedded.logs import LogSplitter, Stream

READ_BYTES = 64 * 1024
END_S = 5.0


class ProcessDriver:
    """See Driver."""

    def __init__(self, config: Config) -> None:
        self._images = config.processes
        self._alive: set[Container] = set()
        self._readers: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Nothing to check: a process that a killed platform started ends with it (pdeathsig)."""

    async def start(self, spec: ContainerSpec) -> Container:
        """Start the proxy on a free port, in a folder of its own."""
        image = self._images.get(spec.image)
        if image is None:
            raise PullError(f"no process is configured for image '{spec.image}'")
        folder = Path(tempfile.mkdtemp(prefix=f"rewind-bench-{os.getpid()}-"))
        port = free_port()
        try:
            process = await _spawn(image, port, folder)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise StartError(f"'{image.argv[0]}' does not start: {error}") from error
        container = Container(
            id=f"process-{process.pid}",
            name=f"wsk0_{spec.number}_{spec.label}",
            url=f"http://127.0.0.1:{port}",
            relayed=False,
            log=LogSplitter(),
            handle=(process, folder),
        )
        self._alive.add(container)
        task = asyncio.create_task(_read(process, container))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)
        return container

    async def remove(self, container: Container) -> None:
        """Kill the proxy and all that it started, delete its folder."""
        process, folder = container.handle
        self._alive.discard(container)
        family = _descendants(process.pid)  # a launcher has a process group of its own
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(container.gone.wait(), END_S)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def pause(self, container: Container) -> None:
        """Stop the group."""
        _signal(container, signal.SIGSTOP)

    async def resume(self, container: Container) -> None:
        """Let the group go on."""
        _signal(container, signal.SIGCONT)

    async def out_of_memory(self, container: Container) -> bool:  # noqa: ARG002 - see Driver
        """No limit, no end by it."""
        return False

    async def close(self) -> None:
        """Remove what is left."""
        await asyncio.gather(*(self.remove(c) for c in list(self._alive)))
        if self._readers:
            await asyncio.wait(self._readers, timeout=END_S)


def _signal(container: Container, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(container.handle[0].pid, number)


def _descendants(pid: int) -> set[int]:
    """Children, their children and so on, as of now."""
    parent_of: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in parentheses may hold anything; the parent comes second after it.
            parent_of[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found: set[int] = set()
    generation = {pid}
    while generation:
        generation = {child for child, parent in parent_of.items() if parent in generation} - found
        found |= generation
    return found


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _spawn(image: ProcessImage, port: int, folder: Path) -> asyncio.subprocess.Process:
    def filled(text: str) -> str:
        return text.replace("{port}", str(port)).replace("{dir}", str(folder))

    env = {"PATH": os.environ.get("PATH", os.defpath), **{k: filled(v) for k, v in image.env.items()}}
    dies_with_us = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    return await asyncio.create_subprocess_exec(
        *dies_with_us,
        *(filled(a) for a in image.argv),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,
        cwd=folder,
        start_new_session=True,
    )


async def _read(process: asyncio.subprocess.Process, container: Container) -> None:
    async def one(stream: Stream, source: asyncio.StreamReader | None) -> None:
        while source is not None and (data := await source.read(READ_BYTES)):
            container.log.feed(stream, data)

    await asyncio.gather(one("stdout", process.stdout), one("stderr", process.stderr))
    await process.wait()
    container.log.end()
    container.gone.set()
