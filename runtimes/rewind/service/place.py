"""Changes through what the container sees, beneath its root, following no symbolic link."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager

from entries import Entry, read_xattrs
from faults import Refused
from system import openat2

DEEPEST = 200
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
CHUNK_BYTES = 1 << 20


class Budget:
    """How much one reset may do, so that no container keeps the service busy."""

    def __init__(self, steps: int, seconds: float) -> None:
        self._steps = steps
        self._left = steps
        self._until = time.monotonic() + seconds

    def spend(self) -> None:
        """One more entry; Refused when it is too much."""
        self._left -= 1
        if self._left < 0:
            raise Refused(f"more than {self._steps} entries were changed")
        if not self._left & 0xFF and time.monotonic() > self._until:
            raise Refused("putting its files back took too long")


@contextmanager
def folder_of(root: int, path: str) -> Iterator[tuple[int, str]]:
    """The folder that holds `path`, and the name in it."""
    parent, _, name = path.rpartition("/")
    found = openat2(root, parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield found, name
    finally:
        os.close(found)


def remove(folder: int, name: str, budget: Budget, depth: int = 0) -> None:
    """Remove an entry with all that is in it; one that is not there is no error."""
    budget.spend()
    try:
        os.unlink(name, dir_fd=folder)
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        pass
    if depth > DEEPEST:
        raise Refused(f"folders are more than {DEEPEST} deep")
    inner = os.open(name, FOLDER, dir_fd=folder)
    try:
        if os.fstat(inner).st_dev != os.fstat(folder).st_dev:
            raise Refused("a file system is mounted in a new folder")
        for found in names_in(inner, budget):
            remove(inner, found, budget, depth + 1)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=folder)


def names_in(folder: int, budget: Budget) -> list[str]:
    """The names in a folder, no more of them than the budget has."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            budget.spend()
            found.append(entry.name)
    return found


def make(folder: int, name: str, entry: Entry) -> None:
    """Make an entry of the checkpoint, without content and attributes."""
    kind = entry.kind
    if kind == stat.S_IFREG:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600, dir_fd=folder))
    elif kind == stat.S_IFDIR:
        os.mkdir(name, 0o700, dir_fd=folder)
    elif kind == stat.S_IFLNK:
        os.symlink(entry.target, name, dir_fd=folder)
        os.chown(name, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
        times = (entry.mtime_ns, entry.mtime_ns)
        os.utime(name, ns=times, dir_fd=folder, follow_symlinks=False)
    elif kind == stat.S_IFSOCK:
        raise Refused(f"the socket {name} of the checkpoint is gone")
    else:
        os.mknod(name, kind | 0o600, entry.device, dir_fd=folder)


def open_for_content(place: int, flags: int) -> int:
    """The regular file that an O_PATH descriptor stands for."""
    if not stat.S_ISREG(os.fstat(place).st_mode):
        raise Refused("a file was exchanged while it was put back")
    return os.open(f"/proc/self/fd/{place}", flags | os.O_NONBLOCK | os.O_CLOEXEC)


def same_content(place: int, content: bytes) -> bool:
    """Whether a file holds exactly this."""
    found = open_for_content(place, os.O_RDONLY)
    try:
        if os.fstat(found).st_size != len(content):
            return False
        at = 0
        while at < len(content):
            piece = os.pread(found, CHUNK_BYTES, at)
            if not piece or piece != content[at : at + len(piece)]:
                return False
            at += len(piece)
        return True
    finally:
        os.close(found)


def write_content(place: int, content: bytes) -> None:
    """Make it hold exactly this."""
    found = open_for_content(place, os.O_WRONLY | os.O_TRUNC)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(found, rest) :]
    finally:
        os.close(found)


def put_attributes(place: int, entry: Entry) -> None:
    """Owner, mode, extended attributes (ACLs are some) and time of an O_PATH descriptor's inode."""
    status = os.fstat(place)
    path = f"/proc/self/fd/{place}"
    if stat.S_ISLNK(status.st_mode):  # made with its own; a path through /proc would follow it
        return
    if (status.st_uid, status.st_gid) != (entry.uid, entry.gid):
        os.chown(path, entry.uid, entry.gid)
        status = os.fstat(place)  # the set-id bits may have gone
    if status.st_mode != entry.mode:
        os.chmod(path, stat.S_IMODE(entry.mode))  # noqa: PTH101
    there = read_xattrs(path)
    if there != entry.xattrs:
        for name in there.keys() - entry.xattrs.keys():
            os.removexattr(path, name)
        for name, value in entry.xattrs.items():
            if there.get(name) != value:
                os.setxattr(path, name, value)
    if os.fstat(place).st_mtime_ns != entry.mtime_ns:
        os.utime(path, ns=(status.st_atime_ns, entry.mtime_ns))
