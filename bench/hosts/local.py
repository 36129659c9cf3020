"""The machine in front of you: its own Docker daemon, commands as yourself, no network in between."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

from docker import DockerClient
from docker.context import ContextAPI
from docker.errors import DockerException

from bench import process
from bench.errors import CommandError, DockerError
from bench.hosts.base import Address
from bench.process import Completed, disk_full_is_typed

DOCKER_TIMEOUT_S = 300


class LocalHost:
    """A Host without any other machine; see bench.hosts.base.Host. Commands run as this user."""

    name = "local"
    accelerator = "none"
    container_network = False

    def __init__(self) -> None:
        self._docker: DockerClient | None = None

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = 60.0,
        stdin: bytes | None = None,
        check: bool = True,
    ) -> Completed:
        """Run a command; see Host.run."""
        return process.run(argv, timeout_s=timeout_s, stdin=stdin, check=check)

    def put(self, data: bytes, path: str, mode: int = 0o644) -> None:
        """Write a file, atomically; see Host.put."""
        target = Path(path)
        part = target.with_name(f".{uuid4().hex}.part")
        with _typed(f"writing {path}"), disk_full_is_typed(f"writing {path}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.write_bytes(data)
                part.chmod(mode)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)

    def get(self, path: str) -> bytes:
        """Read a file; see Host.get."""
        with _typed(f"reading {path}"):
            return Path(path).read_bytes()

    def docker(self) -> DockerClient:
        """The daemon that the `docker` command would use: $DOCKER_HOST, else the current context."""
        if self._docker is None:
            self._docker = connect_docker()
        return self._docker

    @contextlib.contextmanager
    def forward(self, port: int) -> Iterator[Address]:
        """The port itself; see Host.forward."""
        yield Address("127.0.0.1", port)

    def close(self) -> None:
        """Close the connection to Docker."""
        if self._docker is not None:
            self._docker.close()
            self._docker = None


def connect_docker() -> DockerClient:
    """Connect to this user's Docker daemon; DockerError says why that cannot be."""
    hint = "start it, set DOCKER_HOST, or join the group 'docker': 'rewind-bench doctor' says how"
    try:
        client = DockerClient.from_env(timeout=DOCKER_TIMEOUT_S)
        if "DOCKER_HOST" not in os.environ:
            context = ContextAPI.get_current_context()
            if context is not None and context.name != "default":
                client = DockerClient(context.Host, tls=context.TLSConfig or False, timeout=DOCKER_TIMEOUT_S)
        client.ping()
    except (DockerException, OSError) as error:
        raise DockerError(f"no Docker daemon answers on this machine: {error}", hint=hint) from error
    return client


@contextlib.contextmanager
def _typed(doing: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise CommandError(f"{doing}: {error.strerror}") from error
