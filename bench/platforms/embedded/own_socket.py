"""A socket of its own for each container, made by a service on the testbed (bench/platforms/services.py)."""

from __future__ import annotations

import contextlib
import socket
from typing import Literal

#: Where a container finds its socket's folder.
INSIDE = "/run/rewind-bench"
CONTROL = "control"
ANSWER_S = 10.0
ANSWER_BYTES = 512


class OwnSockets:
    """Those of a platform's containers; `service` is the service's folder, "" where there is none."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._unclosed: set[str] = set()

    def open(self, name: str) -> dict[str, str]:
        """Have the service listen for the container `name`; what is to be mounted into it. OSError."""
        if not self._service:
            return {}
        said = _ask(self._service, "open", name)
        if not said.startswith("/"):
            raise OSError(f"the service at {self._service} made no socket for {name}: {said or 'no answer'}")
        return {said: INSIDE}

    def close(self, name: str) -> None:
        """The container has ended. A service that is away is asked again with the next one's end."""
        if not self._service:
            return
        self._unclosed.add(name)
        with contextlib.suppress(OSError):
            for ended in tuple(self._unclosed):
                _ask(self._service, "close", ended)
                self._unclosed.discard(ended)


def _ask(service: str, word: Literal["open", "close"], name: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
        asking.settimeout(ANSWER_S)
        asking.connect(f"{service}/{CONTROL}")
        asking.send(f"{word} {name}".encode())
        return asking.recv(ANSWER_BYTES).decode(errors="replace")
