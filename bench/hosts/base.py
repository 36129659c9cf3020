"""What every testbed offers; nothing else may be assumed of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bench.process import Completed

if TYPE_CHECKING:
    from docker import DockerClient


@dataclass(frozen=True)
class Address:
    """A TCP endpoint as seen from the harness."""

    host: str
    port: int


class Host(Protocol):
    """A machine under test: commands and files, its Docker daemon, its loopback ports.

    All methods raise HostLostError when the machine cannot be reached any more.
    """

    name: str
    #: "none" (native), "kvm", "tcg", or "unknown" for a remote machine.
    accelerator: str
    #: True where the container's own IP address is reachable for a process on the testbed,
    #: False where containers must publish their port on 127.0.0.1 (the user's own Docker).
    container_network: bool

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = 60.0,
        stdin: bytes | None = None,
        check: bool = True,
    ) -> Completed:
        """Run a command (argument list; no shell) as root; CommandError on failure."""
        ...

    def put(self, data: bytes, path: str, mode: int = 0o644) -> None:
        """Write a file, with its parent folders; atomically."""
        ...

    def get(self, path: str) -> bytes:
        """Read a file (also of /proc, whose size is unknown)."""
        ...

    def docker(self) -> DockerClient:
        """The testbed's Docker daemon; DockerError when there is none."""
        ...

    def forward(self, port: int) -> AbstractContextManager[Address]:
        """Make a port of the testbed's loopback reachable from the harness."""
        ...

    def close(self) -> None:
        """Close connections; containers and the machine itself have owners of their own."""
        ...
