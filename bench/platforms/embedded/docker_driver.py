"""Containers by the Docker daemon of this machine; the SDK's calls run in threads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import LogConfig, Ulimit

from bench.errors import ConfigError, DockerError
from bench.platforms.embedded.config import DEFAULT_PORT, Config
from bench.platforms.embedded.driver import Container, ContainerSpec, PullError, StartError
from bench.platforms.embedded.logs import LogSplitter, Stream
from bench.platforms.embedded.own_socket import OwnSockets

PROXY_PORT = "8080/tcp"
#: Marks every container of ours; the value is the run's name where the settings give one.
LABEL = "rewind-bench"
#: The platform (by its port) that a container belongs to: what a killed one left is found by it.
LABEL_PORT = "rewind-bench.platform-port"
LABEL_ACTION = "rewind-bench.action"
FRAME_HEADER = 8
STREAM_OF: dict[int, Stream] = {1: "stdout", 2: "stderr"}
CPU_SHARES = 1024
#: Waits between looks for an out-of-memory kill.
OOM_TOLD_S = (0.0, 0.02, 0.05, 0.1, 0.2)
log = logging.getLogger(__name__)
Failed = (DockerException, requests.RequestException, OSError)


class DockerDriver:
    """See Driver."""

    def __init__(self, config: Config, port: int) -> None:
        self._settings = config.containers
        self._sockets = OwnSockets(self._settings.socket_service)
        self._user_memory_mb = config.user_memory_mb
        self._port = port
        self._invoker = self._settings.invoker
        if self._invoker is None:
            self._invoker = 0 if port == DEFAULT_PORT else port
        self._seccomp = _seccomp(self._settings.seccomp_profile)
        self._runs = ThreadPoolExecutor(self._settings.max_parallel_runs, "docker-run")
        self._others = ThreadPoolExecutor(4, "docker")
        self._images: set[str] = set()
        self._cores: Counter[int] = Counter(dict.fromkeys(self._settings.cpuset, 0))
        self._alive: set[Container] = set()
        self._readers: set[asyncio.Task[None]] = set()
        self._client: docker.DockerClient | None = None

    async def open(self) -> None:
        """Reach the daemon, end what an earlier platform on this port left."""
        await self._in_thread(self._others, self._connect)

    async def start(self, spec: ContainerSpec) -> Container:
        """Run a container and follow its output."""
        core = min(self._cores, key=lambda c: self._cores[c]) if self._cores else None
        if core is not None:
            self._cores[core] += 1
        container: Container
        try:
            container, stream = await self._in_thread(self._runs, self._run, spec, core)
        except BaseException:
            self._free(core)
            raise
        self._alive.add(container)
        task = asyncio.create_task(_follow(container, stream))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)
        return container

    async def remove(self, container: Container) -> None:
        """Remove it by force."""
        if container not in self._alive:
            return
        self._alive.discard(container)
        self._free(container.handle[1])
        try:
            await self._in_thread(self._others, _remove, container.handle[0])
        except Failed as error:
            log.error("container %s is not removed: %s", container.name, error)  # noqa: TRY400
        await self._in_thread(self._others, self._sockets.close, container.name)
        container.gone.set()

    async def pause(self, container: Container) -> None:
        """Docker's pause."""
        with contextlib.suppress(*Failed):
            await self._in_thread(self._others, container.handle[0].pause)

    async def resume(self, container: Container) -> None:
        """Docker's unpause."""
        with contextlib.suppress(*Failed):
            await self._in_thread(self._others, container.handle[0].unpause)

    async def out_of_memory(self, container: Container) -> bool:
        """Docker's word, a moment after the kill.

        While the container lives only the daemon's events tell (any of its processes counts);
        once it has ended, its state.
        """
        for wait_s in OOM_TOLD_S:
            await asyncio.sleep(wait_s)
            with contextlib.suppress(*Failed):
                if await self._in_thread(self._others, _told_oom, container.handle[0]):
                    return True
        return False

    async def close(self) -> None:
        """Remove what is left, also containers whose start was interrupted."""
        self._runs.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._runs.shutdown, wait=True)
        await asyncio.gather(*(self.remove(c) for c in list(self._alive)))
        if self._client is not None:
            with contextlib.suppress(*Failed):
                await self._in_thread(self._others, self._remove_leftovers)
            self._client.close()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._others.shutdown()

    def _free(self, core: int | None) -> None:
        if core is not None:
            self._cores[core] -= 1

    async def _in_thread(self, threads: ThreadPoolExecutor, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(threads, function, *args)

    def _connect(self) -> None:
        try:
            self._client = docker.from_env(max_pool_size=self._settings.max_parallel_runs + 4)
            self._client.ping()
            self._remove_leftovers()
        except Failed as error:
            where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
            raise DockerError(
                f"no answer from the Docker daemon at {where}: {error}",
                hint="start it ('systemctl start docker'), or point DOCKER_HOST at a running one",
            ) from error

    def _remove_leftovers(self) -> None:
        assert self._client is not None  # noqa: S101 - connected first
        label = f"{LABEL_PORT}={self._port}"
        for left in self._client.containers.list(all=True, filters={"label": label}, ignore_removed=True):
            log.info("removing container %s", left.name)
            _remove(left)
            self._sockets.close(str(left.name))

    def _need_image(self, image: str) -> None:
        """A local image is used as it is; one that is not here is pulled."""
        assert self._client is not None  # noqa: S101 - connected first
        if image in self._images:
            return
        try:
            self._client.images.get(image)
        except ImageNotFound:
            name, _, tag = image.rpartition(":") if ":" in image.rsplit("/", 1)[-1] else (image, "", "latest")
            try:
                self._client.images.pull(name, tag=tag)
            except Failed as error:
                raise PullError(f"image {image} is not here and cannot be pulled: {error}") from error
        except Failed as error:
            raise StartError(f"image {image}: {error}") from error
        self._images.add(image)

    def _run(self, spec: ContainerSpec, core: int | None) -> tuple[Container, socket.socket]:
        self._need_image(spec.image)
        name = self._name(spec)
        try:
            return self._make(spec, name, core)
        except StartError:
            self._sockets.close(name)
            raise

    def _make(self, spec: ContainerSpec, name: str, core: int | None) -> tuple[Container, socket.socket]:
        assert self._client is not None  # noqa: S101 - connected first
        try:
            made = self._client.containers.create(spec.image, **self._arguments(spec, name, core))
        except Failed as error:  # also of the service that makes sockets
            if isinstance(error, ImageNotFound):
                self._images.discard(spec.image)
            raise StartError(f"docker create {spec.image}: {error}") from error
        try:
            stream = _attach(made)
            made.start()
            made.reload()
            url = self._url(made)
        except Failed as error:
            _remove(made)
            raise StartError(f"docker start {spec.image}: {error}") from error
        relayed = self._settings.address == "published"
        return Container(str(made.id), name, url, relayed, LogSplitter(), handle=(made, core)), stream

    def _name(self, spec: ContainerSpec) -> str:
        return f"wsk{self._invoker}_{spec.number}_{_label(spec)}"

    def _arguments(self, spec: ContainerSpec, name: str, core: int | None) -> dict[str, Any]:
        settings = self._settings
        shares = settings.cpu_shares
        if shares is None:
            shares = max(2, CPU_SHARES * spec.memory_mb // self._user_memory_mb)
        mounts = settings.mounts | self._sockets.open(name)
        published = settings.address == "published"
        return {
            "name": name,
            "labels": {LABEL: "", **settings.labels, LABEL_PORT: str(self._port), LABEL_ACTION: _label(spec)},
            "mem_limit": f"{spec.memory_mb}m",
            "memswap_limit": f"{spec.memory_mb}m",
            "cpu_shares": shares,
            "nano_cpus": None if settings.cpus is None else int(settings.cpus * 1e9),
            "cpuset_cpus": None if core is None else str(core),
            "network": settings.network,
            "ports": {PROXY_PORT: ("127.0.0.1", None)} if published else None,
            "pids_limit": settings.pids_limit,
            "ulimits": [Ulimit(name="nofile", soft=settings.nofile, hard=settings.nofile)],
            "cap_drop": list(settings.cap_drop),
            "security_opt": [f"seccomp={self._seccomp}"] if self._seccomp else None,
            "environment": settings.env,
            "volumes": {host: {"bind": inside, "mode": "ro"} for host, inside in mounts.items()},
            "log_config": LogConfig(type="json-file", config={"max-size": "10m", "max-file": "1"}),
        }

    def _url(self, made: Any) -> str:
        network = made.attrs["NetworkSettings"]
        if self._settings.address == "published":
            bound = network["Ports"].get(PROXY_PORT)
            if not bound:
                raise DockerException("it ended at once, its port is not published")
            return f"http://127.0.0.1:{bound[0]['HostPort']}"
        address = network["Networks"].get(self._settings.network, {}).get("IPAddress")
        if not address:
            raise DockerException("it ended at once, or has no address on its network")
        return f"http://{address}:{PROXY_PORT.removesuffix('/tcp')}"


def _label(spec: ContainerSpec) -> str:
    return re.sub(r"[^a-zA-Z0-9_.-]", "", spec.label)


def _seccomp(path: str) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text()
    except OSError as error:
        raise ConfigError([f"containers.seccomp_profile: {path}: {error.strerror}"]) from error


def _remove(container: Any) -> None:
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != 409:
            raise


def _told_oom(container: Any) -> bool:
    container.reload()
    if container.attrs["State"].get("OOMKilled"):
        return True
    only = {"container": container.id, "event": "oom"}
    # The daemon ends the answer at `until`: now, to its fraction of a second.
    told = container.client.events(since=0, until=f"{time.time():.6f}", filters=only, decode=True)
    return any(True for _ in told)


def _attach(container: Any) -> socket.socket:
    """The container's output from its first byte: attached before it is started.

    The SDK reads the answer's head through a buffer and hands out the socket below it; nothing
    can be in that buffer, since nothing runs yet. The copy lives on without the SDK's answer.
    """
    wrapped = container.attach_socket(params={"stdout": 1, "stderr": 1, "stream": 1})
    inner = getattr(wrapped, "_sock", wrapped)
    copy = socket.socket(fileno=os.dup(inner.fileno()))
    copy.setblocking(False)  # noqa: FBT003 - the library's signature
    return copy


async def _follow(container: Container, stream: socket.socket) -> None:
    """Feed the multiplexed output (8 bytes of head per piece) to the container's log."""
    opened = asyncio.open_unix_connection if stream.family == socket.AF_UNIX else asyncio.open_connection
    reader, writer = await opened(sock=stream)
    try:
        while True:
            head = await reader.readexactly(FRAME_HEADER)
            data = await reader.readexactly(int.from_bytes(head[4:], "big"))
            container.log.feed(STREAM_OF.get(head[0], "stdout"), data)
    except (asyncio.IncompleteReadError, OSError):
        pass
    finally:
        writer.close()
        container.log.end()
        container.gone.set()
