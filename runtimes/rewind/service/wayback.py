"""The way back: one reset of one file system.

Everything is changed through what the container sees (the view), because an overlay does not notice
changes below it. One exception: a whiteout is removed in the upper folder, after an unlink through the
view has left it there, so that nothing is cached for it.
"""

from __future__ import annotations

import contextlib
import os
import stat

from entries import Entry, entry_of, is_whiteout, read_xattrs
from faults import Refused
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
from tree import Tree


def reset(tree: Tree, budget: Budget) -> int:
    """Put everything back; returns how many entries had changed. Refused, OSError."""
    changes = tree.look()
    if not changes.changed and not changes.missing:
        return 0
    return _Reset(tree, budget, changes.began).run(changes.changed, changes.missing)


class _Reset:
    """One reset: all that must go is gone before anything of the image comes back.

    Else a renamed file would show up under its old name with what was written to it.
    """

    def __init__(self, tree: Tree, budget: Budget, began: dict[str, int]) -> None:
        self._tree = tree
        self._budget = budget
        self._began = began
        #: Folders that something was changed in by us.
        self._touched: set[str] = set()
        #: What the image may have below a whiteout, and whether that is somebody else's.
        self._covered: dict[str, bool] = {}

    def run(self, changed: dict[str, Entry], missing: dict[str, Entry]) -> int:
        """How many entries had changed."""
        tree = self._tree
        folders = [path for path, entry in changed.items() if entry.is_folder]
        count = len(missing) + sum(self._remove_new(path) for path in folders)
        for path, entry in missing.items():
            self._remove_other(path, entry)
        for path in sorted(self._covered):
            self._uncover(path, deleted=self._covered[path])
        for path, entry in missing.items():
            self._make_again(path, entry)
        for path, entry in changed.items():
            if not entry.is_folder:
                count += self._repair(path, entry)
        for path in sorted({*folders, *self._touched}, key=lambda path: -path.count("/") - bool(path)):
            count += self._repair(path, tree.entries[path])  # last because of their times
        return count

    def _remove_new(self, path: str) -> int:
        """Remove what a folder did not have; a lower folder that was copied up stays, and is remembered."""
        merged = self._tree.entries[path].merged
        folder = openat2(self._tree.looked, path, FOLDER)
        count = 0
        try:
            for name in names_in(folder, self._budget):
                if name in self._tree.known[path]:
                    continue
                inner = f"{path}/{name}" if path else name
                if inner in self._tree.mounted:
                    continue
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if status.st_dev != self._tree.device:
                    continue
                count += 1
                self._touched.add(path)
                if merged and stat.S_ISDIR(status.st_mode) and self._tree.is_merged(inner):
                    self._remember_lower(inner)
                    count += self._remove_new(inner)
                elif is_whiteout(status.st_mode, status.st_rdev):
                    self._covered[inner] = True
                else:
                    self._remove(inner, merged=merged)
        finally:
            os.close(folder)
        return count

    def _remember_lower(self, path: str) -> None:
        found = self._tree.below(path)
        assert found is not None  # noqa: S101  as _is_merged has seen
        entry = entry_of(found.status, 0)
        entry.merged = True
        place = openat2(found.layer, path, FOLDER)
        try:
            entry.xattrs = read_xattrs(f"/proc/self/fd/{place}")
        finally:
            os.close(place)
        self._tree.add(path, entry)
        self._touched.add(path)

    def _remove(self, path: str, *, merged: bool) -> None:
        """Remove through the view; in a merged folder what the image has there is to come back."""
        with folder_of(self._tree.view, path) as (folder, name):
            remove(folder, name, self._budget)
        if merged:
            self._covered[path] = False

    def _uncover(self, path: str, *, deleted: bool) -> None:
        """Bring back what the image has, if it has.

        The view must be told of a change, or it goes on missing it: an unlink that we have made, or of
        what was `deleted` by somebody else, one more.
        """
        parent, _, name = path.rpartition("/")
        upper = openat2(self._tree.looked, parent, FOLDER)
        try:
            if not _is_covered(upper, name):
                return
            with folder_of(self._tree.view, path) as (folder, name):
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
        found = self._tree.below(path)
        with contextlib.suppress(OSError):
            seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if found is not None and seen.st_ctime_ns == found.status.st_ctime_ns:
                return
        raise Refused(f"{self._tree.name}{path} of the image is in use and cannot be put back")

    def _remove_other(self, path: str, entry: Entry) -> None:
        """Make room for an entry of the checkpoint that is gone, or of another kind now."""
        parent = path.rpartition("/")[0]
        self._touched.add(parent)
        self._budget.spend()
        if _is_there(self._tree.view, parent):  # else it went with a folder
            self._remove(path, merged=entry.merged and self._tree.entries[parent].merged)
            if entry.merged:
                self._covered[path] = True

    def _make_again(self, path: str, entry: Entry) -> None:
        if entry.is_whiteout:  # what a removal leaves
            self._remove(path, merged=False)
            return
        if entry.merged:
            self._copy_up(path)
        else:
            with folder_of(self._tree.view, path) as (folder, name):
                make(folder, name, entry)
        self._repair(path, entry)
        if entry.is_folder:
            self._touched.add(path)

    def _copy_up(self, path: str) -> None:
        """Have a lower folder in the upper layer: any change of attributes does it, also to what they are."""
        place = openat2(self._tree.view, path, os.O_PATH | os.O_NOFOLLOW)
        try:
            os.chmod(f"/proc/self/fd/{place}", stat.S_IMODE(os.fstat(place).st_mode))  # noqa: PTH101
        finally:
            os.close(place)

    def _repair(self, path: str, entry: Entry) -> bool:
        """Put content and attributes back where they differ; whether they did."""
        now_ns = coarse_now_ns()
        place = openat2(self._tree.view, path, os.O_PATH | os.O_NOFOLLOW)
        try:
            status = os.fstat(place)
            same = entry.same_attributes(status)
            if entry.content_at >= 0:
                content = self._tree.read(entry)
                if not same_content(place, content):
                    same = False
                    write_content(place, content)
            if same and entry.kind != stat.S_IFLNK:
                same = read_xattrs(f"/proc/self/fd/{place}") == entry.xattrs
            if not same:
                put_attributes(place, entry)
        finally:
            os.close(place)
        entry.looked_at(os.stat(path or ".", dir_fd=self._tree.looked, follow_symlinks=False), now_ns)
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
