"""One file system of a container: its state at the checkpoint, and the way back to it.

It is looked at where its changes are: an overlay's upper folder, which has only what was changed, or the
file system itself where it lives in memory. Everything is changed through what the container sees (the
view), because an overlay does not notice changes below it. One exception: a whiteout is removed in the
upper folder, right after an unlink through the view has left it there, so that nothing is cached for it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable

from entries import Entry, entry_of, is_opaque, is_whiteout, read_xattrs
from faults import Refused
from lower import Lower
from place import (
    FOLDER,
    Budget,
    folder_of,
    make,
    names_in,
    put_attributes,
    remove,
    same_content,
    write_content,
)
from system import coarse_now_ns, openat2

Read = Callable[[Entry], bytes]
Store = Callable[[int], int]


class Tree:
    """`view` and `looked` are descriptors of its root as the container, and as we, look at it.

    `lower` is None for a file system in memory. There a store through a shared mapping leaves no trace
    in the times, so the content of files is always compared.
    """

    def __init__(self, name: str, view: int, looked: int, lower: Lower | None, read: Read) -> None:
        self.name = name
        self.entries: dict[str, Entry] = {}
        self.known: dict[str, set[str]] = {}
        self._view = view
        self._looked = looked
        self._lower = lower
        self._read = read
        self._device = os.fstat(looked).st_dev
        #: Folders that this reset has changed something in, and change times that it began with.
        self._touched: set[str] = set()
        self._began: dict[str, int] = {}
        #: What the image may have below a whiteout, and whether that is somebody else's.
        self._covered: dict[str, bool] = {}

    # The checkpoint

    def record(self, store: Store, budget: Budget) -> None:
        """Remember everything; `store` takes the content of an open file and says where it is."""
        self._add("", os.fstat(self._looked), coarse_now_ns(), merged=self._lower is not None)
        left = [""]
        while left:
            path = left.pop()
            folder = openat2(self._looked, path, FOLDER)
            try:
                self.entries[path].xattrs = read_xattrs(f"/proc/self/fd/{folder}")
                for name in names_in(folder, budget):
                    inner = f"{path}/{name}" if path else name
                    if self._record(folder, name, inner, merged=self.entries[path].merged, store=store):
                        left.append(inner)
            finally:
                os.close(folder)

    def _record(self, folder: int, name: str, path: str, *, merged: bool, store: Store) -> bool:
        now_ns = coarse_now_ns()
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if status.st_dev != self._device:  # another file system is mounted here
            return False
        if stat.S_ISDIR(status.st_mode):
            self._add(path, status, now_ns, merged=merged and self._is_merged(path))
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

    def _is_merged(self, path: str) -> bool:
        """Whether a folder of the upper layer shows a lower one's entries too."""
        found = self._lower.find(path) if self._lower is not None else None
        if found is None or not stat.S_ISDIR(found.status.st_mode):
            return False
        folder = openat2(self._looked, path, FOLDER)
        try:
            return not is_opaque(folder)
        finally:
            os.close(folder)

    # The way back

    def reset(self, budget: Budget) -> int:
        """Put everything back; returns how many entries had changed. Refused, OSError.

        All that must go is gone before anything of the image comes back: a renamed file would show up
        under its old name with what was written to it.
        """
        self._touched.clear()
        self._began.clear()
        self._covered.clear()
        changed, missing = self._look(budget)
        if not changed and not missing:
            return 0
        folders = [path for path, entry in changed.items() if entry.is_folder]
        count = len(missing) + sum(self._remove_new(path, budget) for path in folders)
        for path, entry in missing.items():
            self._remove_other(path, entry, budget)
        for path in sorted(self._covered):
            self._uncover(path, deleted=self._covered[path])
        for path, entry in missing.items():
            self._make_again(path, entry, budget)
        for path, entry in changed.items():
            if not entry.is_folder:
                count += self._repair(path, entry)
        for path in sorted({*folders, *self._touched}, key=lambda path: -path.count("/") - bool(path)):
            count += self._repair(path, self.entries[path])  # last because of their times
        return count

    def _look(self, budget: Budget) -> tuple[dict[str, Entry], dict[str, Entry]]:
        """What may have changed in place, and what is gone or of another kind."""
        changed: dict[str, Entry] = {}
        missing: dict[str, Entry] = {}
        looked, in_memory = self._looked, self._lower is None
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
                self._began[path] = status.st_ctime_ns
            else:
                missing[path] = entry
        for _ in range(len(missing)):
            budget.spend()
        return changed, missing

    def _same_kind(self, path: str, entry: Entry, status: os.stat_result) -> bool:
        if stat.S_IFMT(status.st_mode) != entry.kind:
            return False
        if entry.kind in (stat.S_IFCHR, stat.S_IFBLK):
            return status.st_rdev == entry.device
        if entry.kind == stat.S_IFLNK:
            same = entry.same_attributes(status)  # of a link they cannot be put back
            return same and os.readlink(path, dir_fd=self._looked) == entry.target
        if entry.kind == stat.S_IFSOCK:
            return status.st_ino == entry.inode
        return not entry.merged or not path or self._is_merged(path)

    def _remove_new(self, path: str, budget: Budget) -> int:
        """Remove what a folder did not have; a lower folder that was copied up stays, and is remembered."""
        merged = self.entries[path].merged
        folder = openat2(self._looked, path, FOLDER)
        count = 0
        try:
            for name in names_in(folder, budget):
                if name in self.known[path]:
                    continue
                inner = f"{path}/{name}" if path else name
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if status.st_dev != self._device:
                    continue
                count += 1
                self._touched.add(path)
                if merged and stat.S_ISDIR(status.st_mode) and self._is_merged(inner):
                    self._remember_lower(inner)
                    count += self._remove_new(inner, budget)
                elif is_whiteout(status.st_mode, status.st_rdev):
                    self._covered[inner] = True
                else:
                    self._remove(inner, budget, merged=merged)
        finally:
            os.close(folder)
        return count

    def _remember_lower(self, path: str) -> None:
        found = self._lower.find(path) if self._lower is not None else None
        assert found is not None  # noqa: S101  as _is_merged has seen
        entry = entry_of(found.status, 0)
        entry.merged = True
        place = openat2(found.layer, path, FOLDER)
        try:
            entry.xattrs = read_xattrs(f"/proc/self/fd/{place}")
        finally:
            os.close(place)
        self.add(path, entry)
        self._touched.add(path)

    def _remove(self, path: str, budget: Budget, *, merged: bool) -> None:
        """Remove through the view; in a merged folder what the image has there is to come back."""
        with folder_of(self._view, path) as (folder, name):
            remove(folder, name, budget)
        if merged:
            self._covered[path] = False

    def _uncover(self, path: str, *, deleted: bool) -> None:
        """Bring back what the image has, if it has.

        The view must be told of a change, or it goes on missing it: an unlink that we have made, or of
        what was `deleted` by somebody else, one more.
        """
        parent, _, name = path.rpartition("/")
        upper = openat2(self._looked, parent, FOLDER)
        try:
            if not _is_covered(upper, name):
                return
            with folder_of(self._view, path) as (folder, name):
                if deleted:
                    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=folder))
                    os.unlink(name, dir_fd=folder)
                os.unlink(name, dir_fd=upper)
                self._verify(path, folder, name)
        finally:
            os.close(upper)

    def _verify(self, path: str, folder: int, name: str) -> None:
        """A process that holds the file keeps the overlay showing what was written to it.

        The change time is the only sign of that which nobody can set.
        """
        found = self._lower.find(path) if self._lower is not None else None
        with contextlib.suppress(OSError):
            seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if found is not None and seen.st_ctime_ns == found.status.st_ctime_ns:
                return
        raise Refused(f"{self.name}{path} of the image is in use and cannot be put back")

    def _remove_other(self, path: str, entry: Entry, budget: Budget) -> None:
        """Make room for an entry of the checkpoint that is gone, or of another kind now."""
        parent = path.rpartition("/")[0]
        self._touched.add(parent)
        budget.spend()
        if _is_there(self._view, parent):  # else it went with a folder
            self._remove(path, budget, merged=entry.merged and self.entries[parent].merged)
            if entry.merged:
                self._covered[path] = True

    def _make_again(self, path: str, entry: Entry, budget: Budget) -> None:
        if entry.is_whiteout:  # what a removal leaves
            self._remove(path, budget, merged=False)
            return
        if entry.merged:
            self._copy_up(path)
        else:
            with folder_of(self._view, path) as (folder, name):
                make(folder, name, entry)
        self._repair(path, entry)
        if entry.is_folder:
            self._touched.add(path)

    def _copy_up(self, path: str) -> None:
        """Have a lower folder in the upper layer: any change of attributes does it, also to what they are."""
        place = openat2(self._view, path, os.O_PATH | os.O_NOFOLLOW)
        try:
            os.chmod(f"/proc/self/fd/{place}", stat.S_IMODE(os.fstat(place).st_mode))  # noqa: PTH101
        finally:
            os.close(place)

    def _repair(self, path: str, entry: Entry) -> bool:
        """Put content and attributes back where they differ; whether they did."""
        now_ns = coarse_now_ns()
        place = openat2(self._view, path, os.O_PATH | os.O_NOFOLLOW)
        try:
            status = os.fstat(place)
            same = entry.same_attributes(status)
            if entry.content_at >= 0:
                content = self._read(entry)
                if not same_content(place, content):
                    same = False
                    write_content(place, content)
            if same and entry.kind != stat.S_IFLNK:
                same = read_xattrs(f"/proc/self/fd/{place}") == entry.xattrs
            if not same:
                put_attributes(place, entry)
        finally:
            os.close(place)
        entry.looked_at(os.stat(path or ".", dir_fd=self._looked, follow_symlinks=False), now_ns)
        # What may have changed since it was compared is compared again, whatever its times say then.
        settled = same and path not in self._touched and entry.ctime_ns == self._began.get(path)
        entry.fresh = entry.fresh or not settled
        return not same


def _is_there(root: int, path: str) -> bool:
    try:
        os.close(openat2(root, path, os.O_PATH | os.O_DIRECTORY))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _is_covered(upper: int, name: str) -> bool:
    """Whether a whiteout is there."""
    try:
        status = os.stat(name, dir_fd=upper, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return is_whiteout(status.st_mode, status.st_rdev)
