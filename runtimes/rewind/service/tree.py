"""One file system of a container: what was there at the checkpoint, and what has changed since.

It is looked at where its changes are: an overlay's upper folder, which has only what was changed, or the
file system itself where it lives in memory. wayback.py puts it back.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from entries import Entry, entry_of, is_opaque, is_whiteout, read_xattrs
from lower import Found, Lower
from place import FOLDER, Budget, names_in
from system import coarse_now_ns, openat2

Read = Callable[[Entry], bytes]
Store = Callable[[int], int]


@dataclass(frozen=True)
class Changes:
    """Entries of the checkpoint: what may have changed in place, and what is gone or of another kind."""

    changed: dict[str, Entry]
    missing: dict[str, Entry]
    #: Change times of the former when they were looked at.
    began: dict[str, int]


class Tree:
    """`view` and `looked` are descriptors of its root as the container, and as we, look at it.

    `lower` is None for a file system in memory. There a store through a shared mapping leaves no trace
    in the times, so the content of files is always compared.
    """

    def __init__(
        self,
        name: str,
        view: int,
        looked: int,
        lower: Lower | None,
        read: Read,
        mounted: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self.entries: dict[str, Entry] = {}
        self.known: dict[str, set[str]] = {}
        self.view = view
        self.looked = looked
        self.read = read
        self.device = os.fstat(looked).st_dev
        #: Paths that other file systems are mounted on: the container cannot reach what is below.
        self.mounted = mounted
        self._lower = lower

    # The checkpoint

    def record(self, store: Store, budget: Budget) -> None:
        """Remember everything; `store` takes the content of an open file and says where it is."""
        self._add("", os.fstat(self.looked), coarse_now_ns(), merged=self._lower is not None)
        left = [""]
        while left:
            path = left.pop()
            folder = openat2(self.looked, path, FOLDER)
            try:
                self.entries[path].xattrs = read_xattrs(f"/proc/self/fd/{folder}")
                for name in names_in(folder, budget):
                    inner = f"{path}/{name}" if path else name
                    if inner in self.mounted:
                        continue
                    if self._record(folder, name, inner, merged=self.entries[path].merged, store=store):
                        left.append(inner)
            finally:
                os.close(folder)

    def _record(self, folder: int, name: str, path: str, *, merged: bool, store: Store) -> bool:
        now_ns = coarse_now_ns()
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if status.st_dev != self.device:  # another file system is mounted here
            return False
        if stat.S_ISDIR(status.st_mode):
            self._add(path, status, now_ns, merged=merged and self.is_merged(path))
            return True
        entry = self._add(path, status, now_ns, merged=False)
        if stat.S_ISLNK(status.st_mode):
            entry.target = os.readlink(name, dir_fd=folder)
        elif not entry.is_whiteout:
            place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                entry.xattrs = read_xattrs(f"/proc/self/fd/{place}")
                if stat.S_ISREG(status.st_mode):
                    entry.content_at = store(place)
            finally:
                os.close(place)
        return False

    def _add(self, path: str, status: os.stat_result, now_ns: int, *, merged: bool) -> Entry:
        entry = entry_of(status, now_ns)
        entry.merged = merged
        self.add(path, entry)
        return entry

    def add(self, path: str, entry: Entry) -> None:
        """Remember an entry; folders come before what is in them."""
        self.entries[path] = entry
        if entry.is_folder:
            self.known[path] = set()
        if path:
            parent, _, name = path.rpartition("/")
            self.known[parent].add(name)

    def is_merged(self, path: str) -> bool:
        """Whether a folder of the upper layer shows a lower one's entries too."""
        found = self._lower.find(path) if self._lower is not None else None
        if found is None or not stat.S_ISDIR(found.status.st_mode):
            return False
        folder = openat2(self.looked, path, FOLDER)
        try:
            return not is_opaque(folder)
        finally:
            os.close(folder)

    def below(self, path: str) -> Found | None:
        """What the image has there."""
        return self._lower.find(path) if self._lower is not None else None

    # What has changed

    def look(self) -> Changes:
        """Compare every entry of the checkpoint by one status."""
        found = Changes({}, {}, {})
        changed, missing = found.changed, found.missing
        looked, in_memory = self.looked, self._lower is None
        for path, entry in self.entries.items():
            if missing and path.rpartition("/")[0] in missing:
                missing[path] = entry
                continue
            try:
                status = os.stat(path or ".", dir_fd=looked, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                missing[path] = entry
                continue
            if (
                status.st_ctime_ns == entry.ctime_ns
                and status.st_ino == entry.inode
                and not entry.fresh
                and not (in_memory and stat.S_ISREG(status.st_mode))
            ):
                continue
            if entry.is_whiteout and is_whiteout(status.st_mode, status.st_rdev):
                continue  # there is no more to it
            if self._same_kind(path, entry, status):
                changed[path] = entry
                found.began[path] = status.st_ctime_ns
            else:
                missing[path] = entry
        return found

    def _same_kind(self, path: str, entry: Entry, status: os.stat_result) -> bool:
        if stat.S_IFMT(status.st_mode) != entry.kind:
            return False
        if entry.kind in (stat.S_IFCHR, stat.S_IFBLK):
            return status.st_rdev == entry.device
        if entry.kind == stat.S_IFLNK:
            same = entry.same_attributes(status)  # of a link they cannot be put back
            return same and os.readlink(path, dir_fd=self.looked) == entry.target
        if entry.kind == stat.S_IFSOCK:
            return status.st_ino == entry.inode
        return not entry.merged or not path or self.is_merged(path)
