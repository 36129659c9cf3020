"""An initramfs (cpio "newc", uncompressed) in pure Python; the same entries give the same bytes.

archive = Initramfs()
archive.file("/init", binary.read_bytes(), mode=0o755)
archive.tree(Path("rootfs"), "/")
archive.write(target)
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

MAGIC = b"070701"
ALIGN = 4
#: A kernel that runs /init opens this one for it; devtmpfs is not mounted yet.
CONSOLE = ("/dev/console", 5, 1)


@dataclass(frozen=True)
class _Entry:
    mode: int
    data: bytes = b""
    major: int = 0
    minor: int = 0


@dataclass
class Initramfs:
    """Entries by path; parents are made on demand, a later entry replaces an earlier one."""

    _entries: dict[str, _Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        name, major, minor = CONSOLE
        self.device(name, major, minor)

    def folder(self, path: str, mode: int = 0o755) -> None:
        """Add a folder."""
        self._add(path, _Entry(stat.S_IFDIR | mode))

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Add a file, owned by root."""
        self._add(path, _Entry(stat.S_IFREG | mode, data))

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._add(path, _Entry(stat.S_IFLNK | 0o777, target.encode()))

    def device(self, path: str, major: int, minor: int, mode: int = 0o600) -> None:
        """Add a character device."""
        self._add(path, _Entry(stat.S_IFCHR | mode, major=major, minor=minor))

    def tree(self, source: Path, target: str = "/") -> None:
        """Add a folder with all its files, folders and links; modes are kept, owners become root."""
        for path in sorted(source.rglob("*")):
            inside = str(PurePosixPath(target) / path.relative_to(source).as_posix())
            mode = stat.S_IMODE(path.lstat().st_mode)
            if path.is_symlink():
                self.link(inside, str(path.readlink()))
            elif path.is_dir():
                self.folder(inside, mode)
            elif path.is_file():
                self.file(inside, path.read_bytes(), mode)

    def pack(self) -> bytes:
        """The archive as bytes."""
        parts: list[bytes] = []
        ordered = sorted(self._entries.items())
        for number, (name, entry) in enumerate(ordered, start=1):
            parts += _record(name, entry, number)
        parts += _record("TRAILER!!!", _Entry(0), 0)
        return b"".join(parts)

    def write(self, path: Path) -> Path:
        """Write the archive to a file."""
        path.write_bytes(self.pack())
        return path

    def _add(self, path: str, entry: _Entry) -> None:
        name = str(PurePosixPath("/") / path).lstrip("/")
        if not name:
            return
        for parent in list(PurePosixPath(name).parents)[:-1]:
            self._entries.setdefault(str(parent), _Entry(stat.S_IFDIR | 0o755))
        self._entries[name] = entry


def _record(name: str, entry: _Entry, number: int) -> list[bytes]:
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    numbers = (
        *(number, entry.mode, 0, 0, links, 0, len(entry.data)),
        *(0, 0, entry.major, entry.minor, len(encoded), 0),
    )
    header = MAGIC + b"".join(b"%08X" % value for value in numbers) + encoded
    return [header, _padding(len(header)), entry.data, _padding(len(entry.data))]


def _padding(length: int) -> bytes:
    return b"\0" * (-length % ALIGN)
