"""A container's record: kept in memory, and in two files so that it outlives the service."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from entries import Entry
from faults import Refused
from place import CHUNK_BYTES, open_for_content

#: Content of files that one container's record may hold.
CONTENT_BYTES = 64 << 20
VERSION = 1


class Blob:
    """Contents of files, one after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = path.stat().st_size if path.exists() else 0

    def store(self, place: int) -> int:
        """Take in the regular file behind an O_PATH descriptor; Refused when it is too much."""
        at = self._size
        source = open_for_content(place, os.O_RDONLY)
        try:
            with self.path.open("ab") as blob:
                while piece := os.read(source, CHUNK_BYTES):
                    self._size += len(piece)
                    if self._size > CONTENT_BYTES:
                        raise Refused(f"more than {CONTENT_BYTES >> 20} MB of files before the checkpoint")
                    blob.write(piece)
        finally:
            os.close(source)
        return at

    def read(self, entry: Entry) -> bytes:
        """An entry's content."""
        if entry.size == 0:
            return b""
        with self.path.open("rb") as blob:
            return os.pread(blob.fileno(), entry.size, entry.content_at)


def save(path: Path, about: dict[str, Any], trees: dict[str, dict[str, Entry]]) -> None:
    """Write the record, whole or not at all."""
    listed = {name: [[key, *_plain(entry)] for key, entry in t.items()] for name, t in trees.items()}
    whole = {"version": VERSION, "about": about, "trees": listed}
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(whole))
    fresh.rename(path)


def load(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Entry]]]:
    """Read it back; every entry is to be compared whole. Refused when it cannot be used."""
    try:
        whole = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Refused(f"its record cannot be read: {error}") from error
    if whole.get("version") != VERSION:
        raise Refused("its record is of another version of the service")
    trees = {name: {line[0]: _entry(line[1:]) for line in t} for name, t in whole["trees"].items()}
    return whole["about"], trees


def _plain(entry: Entry) -> list[Any]:
    xattrs = {name: value.decode("latin-1") for name, value in entry.xattrs.items()}
    return [
        *(entry.mode, entry.uid, entry.gid, entry.size, entry.mtime_ns, entry.device),
        *(xattrs, entry.target, entry.content_at, entry.merged),
    ]


def _entry(values: list[Any]) -> Entry:
    mode, uid, gid, size, mtime_ns, device, xattrs, target, content_at, merged = values
    return Entry(
        mode=mode,
        uid=uid,
        gid=gid,
        size=size,
        mtime_ns=mtime_ns,
        device=device,
        inode=0,
        ctime_ns=0,
        fresh=True,
        xattrs={name: value.encode("latin-1") for name, value in xattrs.items()},
        target=target,
        content_at=content_at,
        merged=merged,
    )
