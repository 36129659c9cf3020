"""A mount that is one file, as a container's /etc/hosts: it cannot be removed or renamed, only changed."""

from __future__ import annotations

import os

from entries import Entry, entry_of, read_xattrs
from place import put_attributes, same_content, write_content
from record import Blob
from system import coarse_now_ns


class SingleFile:
    """`place` is an O_PATH descriptor of it."""

    def __init__(self, name: str, place: int, blob: Blob) -> None:
        self.name = name
        self.entries: dict[str, Entry] = {}
        self._place = place
        self._blob = blob

    def record(self) -> None:
        """Remember it."""
        now_ns = coarse_now_ns()
        entry = entry_of(os.fstat(self._place), now_ns)
        entry.xattrs = read_xattrs(f"/proc/self/fd/{self._place}")
        entry.content_at = self._blob.store(self._place)
        self.entries[""] = entry

    def reset(self) -> int:
        """Put it back; whether it had changed."""
        entry, now_ns = self.entries[""], coarse_now_ns()
        status = os.fstat(self._place)
        if not entry.fresh and (status.st_ino, status.st_ctime_ns) == (entry.inode, entry.ctime_ns):
            return 0
        content = self._blob.read(entry)
        same = entry.same_attributes(status) and same_content(self._place, content)
        same = same and read_xattrs(f"/proc/self/fd/{self._place}") == entry.xattrs
        if not same:
            write_content(self._place, content)
            put_attributes(self._place, entry)
            now_ns = 0  # to be compared again
        entry.looked_at(status if same else os.fstat(self._place), now_ns)
        return int(not same)
