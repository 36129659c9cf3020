"""What a serverless platform is to the harness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bench.platforms.client import Client


@dataclass(frozen=True)
class Endpoint:
    """Where the REST interface is, as seen from the harness, and the key for it."""

    #: Scheme, host and port, e.g. "http://127.0.0.1:3233".
    api_host: str
    #: "user:password"
    auth: str

    def client(self) -> Client:
        """A new client; close it, or use it as a context manager."""
        return Client(self.api_host, self.auth)


class Platform(Protocol):
    """A platform that is up."""

    endpoint: Endpoint

    def logs(self) -> str:
        """What the platform has logged so far."""
        ...


#: Told line by line what goes on.
Progress = Callable[[str], None]
