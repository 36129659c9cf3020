"""What a process sees mounted, and which of it must be put back."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from faults import Refused
from system import BENEATH, openat2

#: Kernel file systems that hold nothing of a request (audit.md lists what they can carry).
IGNORED_TYPES = {"proc", "sysfs", "cgroup", "cgroup2", "devpts", "securityfs"}
IGNORED_BELOW = ("/proc/", "/sys/")
MEMORY_TYPES = {"tmpfs", "mqueue"}
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A line of /proc/PID/mountinfo."""

    point: str
    kind: str
    options: tuple[str, ...]
    super_options: tuple[str, ...]

    def option(self, name: str) -> str:
        """The value of a file system's option; "" without it."""
        for entry in self.super_options:
            key, _, value = entry.partition("=")
            if key == name:
                return value
        return ""


@dataclass(frozen=True)
class Layers:
    """An overlay's folders on the host, topmost lower one first."""

    upper: str
    lower: tuple[str, ...]


@dataclass(frozen=True)
class Writable:
    """Where a container can write."""

    layers: Layers
    #: Mount points of file systems in memory.
    memory: tuple[str, ...]
    #: Mount points that are single files.
    files: tuple[str, ...]
    #: All mount points but the root.
    points: tuple[str, ...]


def read_mounts(pid: int) -> list[Mount]:
    """The mounts that a process sees; a later one on the same point covers the earlier."""
    found: dict[str, Mount] = {}
    for line in Path(f"/proc/{pid}/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields = line.split(" ")
        end = fields.index("-", 6)
        point = _plain(fields[4])
        options, supers = tuple(fields[5].split(",")), tuple(_split(fields[end + 3]))
        found[point] = Mount(point, fields[end + 1], options, supers)
    return list(found.values())


def writable(mounts: list[Mount], root: int) -> Writable:
    """What of these must be put back; Refused where that is not possible. `root` is the process's root."""
    layers: Layers | None = None
    memory: list[str] = []
    files: list[str] = []
    for mount in mounts:
        if mount.point == "/":
            layers = _layers(mount)
        elif "ro" in mount.options or _ignored(mount):
            continue
        elif mount.kind in MEMORY_TYPES and _mode(root, mount.point) == stat.S_IFDIR:
            memory.append(mount.point)
        elif _mode(root, mount.point) == stat.S_IFREG:
            files.append(mount.point)
        else:
            raise Refused(f"{mount.point} is a writable volume ({mount.kind})")
    if layers is None:
        raise Refused("its root is no overlay")
    points = tuple(mount.point for mount in mounts if mount.point != "/")
    return Writable(layers, tuple(memory), tuple(files), points)


def _layers(mount: Mount) -> Layers:
    upper, lower = mount.option("upperdir"), mount.option("lowerdir")
    lowers = tuple(_plain(part) for part in lower.split(":") if part)
    if mount.kind != "overlay" or not upper or not lowers:
        raise Refused("its root is no overlay with an upper layer")
    layers = Layers(_plain(upper), lowers)
    if not all(os.path.isabs(path) for path in (layers.upper, *layers.lower)):  # noqa: PTH117
        raise Refused("its overlay was mounted with relative paths")
    return layers


def _ignored(mount: Mount) -> bool:
    return mount.kind in IGNORED_TYPES or mount.point.startswith(IGNORED_BELOW)


def _mode(root: int, point: str) -> int:
    found = openat2(root, point.lstrip("/"), os.O_PATH | os.O_NOFOLLOW, BENEATH)
    try:
        return stat.S_IFMT(os.fstat(found).st_mode)
    finally:
        os.close(found)


def _split(options: str) -> list[str]:
    """At commas, but not at those that the kernel has escaped with a backslash."""
    return re.split(r"(?<!\\),", options)


def _plain(field: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), field)
