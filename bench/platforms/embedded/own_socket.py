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


def open_socket(service: str, name: str) -> str:
    """Have `service` (its folder) listen for the container `name`; the folder to mount. OSError."""
    said = _ask(service, "open", name)
    if not said.startswith("/"):
        raise OSError(f"the service at {service} made no socket for {name}: {said or 'no answer'}")
    return said


def close_socket(service: str, name: str) -> None:
    """The container has ended; a service that has ended too is no error."""
    with contextlib.suppress(OSError):
        _ask(service, "close", name)


def _ask(service: str, word: Literal["open", "close"], name: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
        asking.settimeout(ANSWER_S)
        asking.connect(f"{service}/{CONTROL}")
        asking.send(f"{word} {name}".encode())
        return asking.recv(ANSWER_BYTES).decode(errors="replace")
