"""What a container is to the platform, and what makes one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.platforms.embedded.logs import LogSplitter


class StartError(Exception):
    """The container could not be started; the text is for the operator."""


class PullError(StartError):
    """Its image is not there and cannot be fetched."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What to start; `label` says for whom, in the container's name."""

    number: int
    image: str
    memory_mb: int
    label: str


@dataclass(slots=True, eq=False)
class Container:
    """A started container; its proxy may not listen yet."""

    id: str
    name: str
    #: Where its proxy listens, e.g. "http://172.17.0.2:8080".
    url: str
    #: True: the port is open before the proxy is (Docker's own relay listens on it).
    relayed: bool
    log: LogSplitter
    #: Set when the container has ended, by itself or by us.
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    #: The driver's own.
    handle: Any = None


class Driver(Protocol):
    """Makes and ends containers; every method may take its time without blocking the loop."""

    async def open(self) -> None:
        """Check that containers can be made (DockerError when not); end what a killed platform left."""
        ...

    async def start(self, spec: ContainerSpec) -> Container:
        """Start a container; StartError, PullError."""
        ...

    async def remove(self, container: Container) -> None:
        """End a container and everything in it; no error if it has ended already."""
        ...

    async def pause(self, container: Container) -> None:
        """Freeze it."""
        ...

    async def resume(self, container: Container) -> None:
        """Thaw it."""
        ...

    async def out_of_memory(self, container: Container) -> bool:
        """Whether something in it was killed for want of memory."""
        ...

    async def close(self) -> None:
        """End every container that is left."""
        ...
