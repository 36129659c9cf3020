"""The worker's records on disk: one unbuffered write per finished request."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from pathlib import Path

import msgspec

from bench.load.plan import BODIES, REQUESTS, Body, Record


class Journal:
    """Appends to the raw files of a load.

    When they cannot be written the process ends: a load that nobody records only disturbs.
    """

    def __init__(self, out: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._requests = os.open(out / REQUESTS, flags, 0o644)
        self._bodies = os.open(out / BODIES, flags, 0o644)
        self._seen: set[str] = set()

    def keep(self, content: bytes) -> str:
        """Keep a reply's body, equal ones once; returns its digest."""
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        if digest not in self._seen:
            self._seen.add(digest)
            _append(self._bodies, Body(digest, base64.b64encode(content).decode()))
        return digest

    def record(self, record: Record) -> None:
        """Append one finished or dropped request."""
        _append(self._requests, record)


def _append(descriptor: int, record: msgspec.Struct) -> None:
    line = msgspec.json.encode(record) + b"\n"
    try:
        while line:
            line = line[os.write(descriptor, line) :]
    except OSError as error:
        sys.stderr.write(f"records cannot be written: {error}\n")
        os._exit(1)
