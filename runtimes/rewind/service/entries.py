"""One entry of a file system: what is remembered of it, and how it is compared."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

OPAQUE = "trusted.overlay.opaque"
OWN_XATTRS = "trusted.overlay."
WHITEOUT_DEVICE = 0
SECOND_NS = 1_000_000_000


@dataclass(slots=True)
class Entry:
    """An entry as it was at the checkpoint.

    `inode` and `ctime_ns` are of the last look at it: equal ones mean that nothing has changed since,
    unless it is `fresh`: looked at within the tick of its change time, so a later change may have left
    that as it was, and everything is to be compared.
    """

    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    device: int
    inode: int
    ctime_ns: int
    fresh: bool
    xattrs: dict[str, bytes] = field(default_factory=dict)
    target: str = ""
    #: Where the content of a regular file is in the record's blob.
    content_at: int = -1
    #: A folder that shows a lower one's entries beside its own.
    merged: bool = False

    @property
    def kind(self) -> int:
        """S_IFREG and the like; a whiteout is a character device 0."""
        return stat.S_IFMT(self.mode)

    @property
    def is_folder(self) -> bool:
        """Whether it may have entries of its own."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_whiteout(self) -> bool:
        """Whether it hides a lower entry."""
        return is_whiteout(self.mode, self.device)

    def looked_at(self, status: os.stat_result, now_ns: int) -> None:
        """Remember a look at `now_ns` (coarse clock, read before the look) that found all as it was."""
        self.inode, self.ctime_ns = status.st_ino, status.st_ctime_ns
        self.fresh = is_fresh(status.st_ctime_ns, now_ns)

    def same_attributes(self, status: os.stat_result) -> bool:
        """Whether mode, owner, device, size and times are those of the checkpoint."""
        return (
            status.st_mode == self.mode
            and status.st_uid == self.uid
            and status.st_gid == self.gid
            and status.st_mtime_ns == self.mtime_ns
            and (status.st_rdev == self.device or not _has_device(self.mode))
            and (status.st_size == self.size or self.is_folder)
        )


def entry_of(status: os.stat_result, now_ns: int) -> Entry:
    """An entry from its status; xattrs, target and content are the caller's to add."""
    return Entry(
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        device=status.st_rdev,
        inode=status.st_ino,
        ctime_ns=status.st_ctime_ns,
        fresh=is_fresh(status.st_ctime_ns, now_ns),
    )


def is_fresh(ctime_ns: int, now_ns: int) -> bool:
    """Whether a change after `now_ns` may leave the change time as it is.

    Some file systems (mqueue) keep whole seconds.
    """
    tick_ns = SECOND_NS if ctime_ns % SECOND_NS == 0 else 0
    return ctime_ns + tick_ns >= now_ns


def is_whiteout(mode: int, device: int) -> bool:
    """Overlay's mark for a lower entry that is gone."""
    return stat.S_ISCHR(mode) and device == WHITEOUT_DEVICE


def read_xattrs(path: str) -> dict[str, bytes]:
    """Extended attributes but overlay's own; `path` names the very inode, e.g. /proc/self/fd/5."""
    try:
        names = os.listxattr(path)
    except OSError:  # a file system without them
        return {}
    return {name: os.getxattr(path, name) for name in names if not name.startswith(OWN_XATTRS)}


def is_opaque(folder: int) -> bool:
    """Whether an upper folder hides the lower ones of its name."""
    try:
        return os.getxattr(folder, OPAQUE) == b"y"
    except OSError:
        return False


def _has_device(mode: int) -> bool:
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
