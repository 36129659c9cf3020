"""The launcher's descriptors: requests on 0, replies on 3, readiness on 4."""

from __future__ import annotations

import json
import os
import select
import stat
from typing import Any

REQUEST_FD = 0
REPLY_FD = 3
READY_FD = 4
READ_BYTES = 1 << 16
#: Written at once, whatever the pipe holds.
REASON_BYTES = 1024


class Requests:
    """Lines of JSON on standard input, taken from the pipe only when asked for."""

    def __init__(self, fd: int = REQUEST_FD) -> None:
        self.fd = fd
        self._rest = b""
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def wait(self) -> bool:
        """Wait until a request is there, without touching it; False when there will be none."""
        while not self._rest:
            for _, events in self._poll.poll():
                return bool(events & select.POLLIN)
        return True

    def read(self) -> bytes:
        """The next request; EOFError when there is none."""
        chunks = [self._rest]
        while b"\n" not in chunks[-1]:
            chunk = os.read(self.fd, READ_BYTES)
            if not chunk:
                raise EOFError
            chunks.append(chunk)
        line, _, self._rest = b"".join(chunks).partition(b"\n")
        return line


class Replies:
    """One line on descriptor 3 for each request, and the acknowledgement before the first."""

    def __init__(self, fd: int = REPLY_FD) -> None:
        self.fd = fd
        os.set_inheritable(fd, False)  # noqa: FBT003  programs that the action starts have no business here
        self._acknowledge = bool(os.environ.get("__OW_WAIT_FOR_ACK"))

    def acknowledge(self) -> None:
        """Tell that the action can be called."""
        if self._acknowledge:
            self.write(encode({"ok": True}))

    def refuse(self, reason: str) -> None:
        """Tell why the action cannot be called."""
        if self._acknowledge:
            self.write(encode({"ok": False, "error": reason}))

    def write(self, line: bytes) -> None:
        """Write one line; the newline is added."""
        rest = memoryview(line + b"\n")
        while rest:
            rest = rest[os.write(self.fd, rest) :]


class Ready:
    """The line `ready` on descriptor 4 after each reply, where the proxy understands it.

    OpenWhisk's own proxy gives no such descriptor: then nothing is told, and that the
    launcher does not read its input is what holds the next request.
    """

    def __init__(self) -> None:
        self.fd: int | None = None
        #: What the restore cost, told with the next word; numbers by name.
        self.figures: dict[str, int] = {}
        if os.environ.get("__OW_READY_FD") == str(READY_FD) and _is_pipe(READY_FD):
            self.fd = READY_FD
            os.set_inheritable(READY_FD, False)  # noqa: FBT003  its only form

    def tell(self) -> None:
        """Tell that the next request may come."""
        if self.fd is not None:
            figures = b" " + encode(self.figures) if self.figures else b""
            os.write(self.fd, b"ready" + figures + b"\n")

    def refuse(self, reason: str) -> None:
        """Tell why there will be no next request."""
        if self.fd is not None:
            os.write(self.fd, " ".join(reason.split()).encode()[:REASON_BYTES] + b"\n")

    def close(self) -> None:
        """Give the descriptor up, in a process that must not tell."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


def encode(value: Any) -> bytes:
    """A value as one line of JSON; TypeError or ValueError when it is none."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def _is_pipe(fd: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False
