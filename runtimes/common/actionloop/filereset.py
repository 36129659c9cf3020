"""The launcher's end of the file reset service (runtimes/rewind/service)."""

from __future__ import annotations

import _socket
import contextlib
import json
import os
import time

SOCKET = "/run/rewind-bench/files"
MAGIC = b"RWF1"
CHECKPOINT = b"C"
RESET = b"R"
DONE = b"K"
HEAD_BYTES = len(MAGIC) + 1
NONCE_BYTES = 16
REPLY_BYTES = 4096
#: How long a service that is being restarted is waited for, and how long an answer may take.
AWAY_S = 30.0
ANSWER_S = 60.0
POLL_S = 0.005


class FileResetError(Exception):
    """The container's files cannot be put back; the text is the reason."""


class FileReset:
    """A connection that was made before the checkpoint and is used after each rewind.

    One that a request has harmed, or that a restarted service has lost, is replaced for that time.
    """

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._connection: _socket.socket | None = None

    def checkpoint(self) -> dict[str, int]:
        """Have the service remember the container's files; what it took. FileResetError."""
        try:
            self._connection = self._connect()
            return self._exchange(self._connection, CHECKPOINT)
        except OSError as error:
            raise FileResetError(
                f"no file reset service at {self._path}: {error.strerror or error}"
            ) from error

    def reset(self) -> dict[str, int]:
        """Have them put back; what it took ("ns", "entries"). FileResetError."""
        deadline = time.monotonic() + AWAY_S
        fresh = self._connection
        while True:
            with contextlib.suppress(OSError):
                if fresh is None:
                    fresh = self._connect()
                return self._exchange(fresh, RESET)
            if fresh is not None and fresh is not self._connection:
                fresh.close()
            fresh = None
            if time.monotonic() > deadline:
                raise FileResetError("the file reset service does not answer")
            time.sleep(POLL_S)

    def _connect(self) -> _socket.socket:
        made = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        try:
            made.settimeout(ANSWER_S)
            made.connect(self._path)
        except OSError:
            made.close()
            raise
        return made

    def _exchange(self, connection: _socket.socket, word: bytes) -> dict[str, int]:
        nonce = os.urandom(NONCE_BYTES)
        connection.send(MAGIC + word + nonce)
        packet = connection.recv(REPLY_BYTES)
        if not packet:
            raise ConnectionResetError
        verdict, text = packet[HEAD_BYTES - 1 : HEAD_BYTES], packet[HEAD_BYTES + NONCE_BYTES :]
        if packet[: len(MAGIC)] != MAGIC or packet[HEAD_BYTES : HEAD_BYTES + NONCE_BYTES] != nonce:
            raise FileResetError("an answer to something else was on the file reset service's socket")
        if verdict != DONE:
            raise FileResetError(text.decode(errors="replace"))
        found: dict[str, int] = json.loads(text)
        return found
