"""Files: made, changed, removed or replaced, in every place that a launcher may write to."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import stat
import struct
import sys
from pathlib import Path
from typing import Any

from .base import Channel, Secret

SCRATCH = Path("/tmp/rewind-bench-audit")
CONTENT = b"as it was before any request\n" * 10
#: 2020-01-01, so that a changed time shows.
TIME_NS = 1_577_836_800_000_000_000
IMAGE_FILE = Path("/usr/lib/python3.11/antigravity.py")
IMAGE_VICTIM = Path("/usr/lib/python3.11/this.py")
MANY = 2000
SEPARATOR = "; "
#: A folder's entries that are compared one by one; the folder itself tells of all.
SHOWN = 50
NOT_ROOT = {"nobody": "EACCES"}


def portrait(path: Path) -> str:
    """All that can be told of a file or folder, but for access times."""
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return "is not there"
    kind = stat.S_IFMT(facts.st_mode)
    said = [stat.filemode(facts.st_mode), f"owner {facts.st_uid}:{facts.st_gid}"]
    if kind == stat.S_IFREG:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        said += [f"{facts.st_size} bytes", f"content {digest}", f"{facts.st_nlink} links"]
    elif kind == stat.S_IFLNK:
        said.append(f"to {path.readlink()}")
    elif kind == stat.S_IFDIR:
        said.append(f"holds {sorted(os.listdir(path))}")  # noqa: PTH208
    if kind in (stat.S_IFREG, stat.S_IFDIR):
        said.append(f"modified {facts.st_mtime_ns}")
        said += [f"{name}={os.getxattr(path, name)!r}" for name in sorted(_attributes(path))]
    return SEPARATOR.join(said)


def _attributes(path: Path) -> list[str]:
    try:
        return os.listxattr(path)
    except OSError:
        return []


class Tampered(Channel):
    """Something in a folder that was there before the first request."""

    def prepare(self) -> None:
        self.folder = SCRATCH / self.name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.file = self.folder / "file"
        self.file.write_bytes(CONTENT)
        os.utime(self.file, ns=(TIME_NS, TIME_NS))
        self.arrange()
        os.utime(self.folder, ns=(TIME_NS, TIME_NS))
        self.before = self.portraits()

    def arrange(self) -> None:
        """What else must be there."""

    def portraits(self) -> dict[str, str]:
        """Of the folder and all in it."""
        found = {self.folder.name: portrait(self.folder)}
        for path in sorted(self.folder.rglob("*"))[:SHOWN]:
            found[os.fsencode(path.relative_to(self.folder)).decode(errors="backslashreplace")] = portrait(
                path
            )
        return found

    def look(self, secret: Secret, carried: Any) -> str:
        now = self.portraits()
        for name in {**self.before, **now}:
            was, is_now = self.before.get(name, "was not there"), now.get(name, "is gone")
            if was != is_now:
                return f"{name[:40]}: {_difference(was, is_now)}"
        return ""


def _difference(was: str, now: str) -> str:
    if "not there" in was:
        return "is new"
    before = was.split(SEPARATOR)
    return SEPARATOR.join(part for part in now.split(SEPARATOR) if part not in before)[:120] or now[:120]


class NewFile(Channel):
    """A new file in /tmp."""

    name, core = "new-file", True
    folder = Path("/tmp")

    def plant(self, secret: Secret) -> None:
        self._path(secret).write_bytes(secret.plain)

    def look(self, secret: Secret, carried: Any) -> str:
        path = self._path(secret)
        return f"{path} is there" if os.path.lexists(path) else ""

    def _path(self, secret: Secret) -> Path:
        return self.folder / f"audit-{secret.name}"


class NewShmFile(NewFile):
    """A new file in /dev/shm."""

    name, core = "dev-shm", True
    folder = Path("/dev/shm")


class NewVarTmpFile(NewFile):
    """A new file in /var/tmp."""

    name = "var-tmp"
    folder = Path("/var/tmp")


class NewActionFile(NewFile):
    """A new file in the action's own folder, where modules are imported from."""

    name, core, refused = "action-folder", True, NOT_ROOT

    def prepare(self) -> None:
        self.folder = Path.cwd()


class NewHomeFile(NewFile):
    """A new file in root's home."""

    name, refused = "home", NOT_ROOT
    folder = Path("/root")


class NewLauncherFile(NewFile):
    """A new file beside the launcher's code."""

    name, refused = "launcher-folder", NOT_ROOT
    folder = Path("/usr/lib/rewind-bench/common")


class NewEtcFile(NewFile):
    """A new file in /etc."""

    name, refused = "etc", NOT_ROOT
    folder = Path("/etc")


class NewRunFile(NewFile):
    """A new file in /run."""

    name, refused = "run", NOT_ROOT
    folder = Path("/run")


class HostsFile(Channel):
    """The container's /etc/hosts, a mount of its own."""

    name, refused = "etc-hosts", NOT_ROOT

    def plant(self, secret: Secret) -> None:
        with open("/etc/hosts", "ab") as file:
            file.write(b"127.0.0.9 " + secret.plain + b"\n")

    def look(self, secret: Secret, carried: Any) -> str:
        return "in /etc/hosts" if secret.seen_in(Path("/etc/hosts").read_bytes()) else ""


class Bytecode(Channel):
    """A bytecode cache beside a module, which later imports run."""

    name, refused = "bytecode-cache", NOT_ROOT

    def prepare(self) -> None:
        self.folder = Path.cwd() / "__pycache__"

    def plant(self, secret: Secret) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"audit_{secret.name}.{sys.implementation.cache_tag}.pyc").write_bytes(secret.plain)

    def look(self, secret: Secret, carried: Any) -> str:
        return "in __pycache__" if any(secret.name in name.name for name in self.folder.glob("*")) else ""


class ChangedInPlace(Tampered):
    """A file changed to the same size, its time set back."""

    name, core = "changed-file", True

    def plant(self, secret: Secret) -> None:
        with self.file.open("r+b") as file:
            file.write(secret.plain)
        os.utime(self.file, ns=(TIME_NS, TIME_NS))


class Appended(Tampered):
    """A file that is appended to."""

    name, core = "appended-file", True

    def plant(self, secret: Secret) -> None:
        with self.file.open("ab") as file:
            file.write(secret.plain)


class Truncated(Tampered):
    """A file that is cut short."""

    name, core = "truncated-file", True

    def plant(self, secret: Secret) -> None:
        os.truncate(self.file, 7)


class Deleted(Tampered):
    """A file that is deleted."""

    name, core = "deleted-snapshot-file", True

    def plant(self, secret: Secret) -> None:
        self.file.unlink()


class Recreated(Tampered):
    """A file that is deleted and made anew with the same content."""

    name = "recreated-file"

    def prepare(self) -> None:
        super().prepare()
        self.linked = self.file.stat().st_ino

    def plant(self, secret: Secret) -> None:
        self.file.unlink()
        self.file.write_bytes(CONTENT + secret.plain)


class RenamedFile(Tampered):
    """A file that is renamed."""

    name, core = "renamed-file", True

    def plant(self, secret: Secret) -> None:
        self.file.rename(self.folder / secret.name)


class FileToFolder(Tampered):
    """A file replaced by a folder."""

    name = "file-to-folder"

    def plant(self, secret: Secret) -> None:
        self.file.unlink()
        (self.file / secret.name).mkdir(parents=True)


class FileToLink(Tampered):
    """A file replaced by a symbolic link."""

    name, core = "file-to-symlink", True

    def plant(self, secret: Secret) -> None:
        self.file.unlink()
        self.file.symlink_to("/etc/passwd")


class FolderToLink(Tampered):
    """A folder replaced by a symbolic link."""

    name = "folder-to-symlink"

    def arrange(self) -> None:
        (self.folder / "inner").mkdir()
        (self.folder / "inner" / "file").write_bytes(CONTENT)

    def plant(self, secret: Secret) -> None:
        shutil.rmtree(self.folder / "inner")
        (self.folder / "inner").symlink_to("/etc")


class Tree(Tampered):
    """A new tree of folders."""

    name, core = "new-tree", True

    def plant(self, secret: Secret) -> None:
        folder = self.folder / "a" / "b" / "c" / "d"
        folder.mkdir(parents=True)
        (folder / secret.name).write_bytes(secret.plain)


class Rights(Tampered):
    """A file's rights."""

    name, core = "file-rights", True

    def plant(self, secret: Secret) -> None:
        self.file.chmod(0o4755)


class FolderRights(Tampered):
    """A folder's rights."""

    name = "folder-rights"

    def plant(self, secret: Secret) -> None:
        self.folder.chmod(0o1777)


class Owner(Tampered):
    """A file's owner."""

    name, refused = "file-owner", {"nobody": "EPERM"}

    def plant(self, secret: Secret) -> None:
        os.chown(self.file, 4321, 4321)


class Times(Tampered):
    """A file's time of change."""

    name, core = "file-times", True

    def plant(self, secret: Secret) -> None:
        os.utime(self.file, ns=(TIME_NS, TIME_NS + int(secret.name[:6], 16)))


class ExtendedAttribute(Tampered):
    """An extended attribute."""

    name = "extended-attribute"

    def plant(self, secret: Secret) -> None:
        os.setxattr(self.file, "user.audit", secret.plain)


class AccessList(Tampered):
    """An access control list."""

    name = "access-control-list"

    def plant(self, secret: Secret) -> None:
        entries = ((1, 6, -1), (2, 7, 4321), (4, 4, -1), (16, 7, -1), (32, 4, -1))
        body = b"".join(struct.pack("<HHi", *entry) for entry in entries)
        os.setxattr(self.file, "system.posix_acl_access", struct.pack("<I", 2) + body)


class HardLink(Tampered):
    """A hard link to a file."""

    name = "hard-link"

    def plant(self, secret: Secret) -> None:
        os.link(self.file, self.folder / secret.name)


class Fifo(Tampered):
    """A FIFO."""

    name = "fifo"

    def plant(self, secret: Secret) -> None:
        os.mkfifo(self.folder / secret.name)


class SocketFile(Tampered):
    """A socket in the file system."""

    name = "socket-file"

    def plant(self, secret: Secret) -> None:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(self.folder / secret.name))


class DeviceNode(Tampered):
    """A device node."""

    name, refused = "device-node", {"nobody": "EPERM"}

    def plant(self, secret: Secret) -> None:
        os.mknod(self.folder / secret.name, 0o666 | stat.S_IFCHR, os.makedev(1, 5))


class Sparse(Tampered):
    """A sparse file of 8 GB."""

    name = "sparse-file"

    def plant(self, secret: Secret) -> None:
        os.truncate(self.folder / "file", 8 << 30)
        os.truncate(self.folder / "file", 4)


class LongName(Tampered):
    """A name of 255 bytes."""

    name = "long-name"

    def plant(self, secret: Secret) -> None:
        (self.folder / secret.name.ljust(255, "x")).touch()


class OddName(Tampered):
    """A name that is no text (not UTF-8, a newline, blanks)."""

    name = "odd-name"

    def plant(self, secret: Secret) -> None:
        Path(os.fsdecode(os.fsencode(self.folder) + b"/ \xff\n\\\x80 ")).touch()


class ManyFiles(Tampered):
    """Thousands of small files."""

    name = "many-files"

    def plant(self, secret: Secret) -> None:
        for number in range(MANY):
            (self.folder / f"{secret.name}-{number}").touch()


class BigFile(Tampered):
    """A file of 64 MB."""

    name = "big-file"

    def plant(self, secret: Secret) -> None:
        with (self.folder / secret.name).open("wb") as file:
            for _ in range(64):
                file.write(bytes(1 << 20))


class ImageFile(Channel):
    """A file of the image, changed."""

    name, core, refused = "image-file", True, NOT_ROOT
    path = IMAGE_FILE

    def prepare(self) -> None:
        self.before = portrait(self.path)

    def plant(self, secret: Secret) -> None:
        with self.path.open("r+b") as file:
            file.write(secret.plain)

    def look(self, secret: Secret, carried: Any) -> str:
        now = portrait(self.path)
        return "" if now == self.before else f"{self.path}: {_difference(self.before, now)}"


class DeletedImageFile(ImageFile):
    """A file of the image, deleted."""

    name, core = "deleted-image-file", True
    path = IMAGE_VICTIM

    def plant(self, secret: Secret) -> None:
        self.path.unlink()


class ReplacedImageFolder(ImageFile):
    """A folder of the image, removed and made anew."""

    name = "image-folder"
    path = Path("/usr/lib/python3.11/curses")

    def plant(self, secret: Secret) -> None:
        shutil.rmtree(self.path)
        self.path.mkdir()
        (self.path / secret.name).write_bytes(secret.plain)


class LibraryFile(ImageFile):
    """A shared library in use, overwritten in place with its own content and a tail."""

    name = "loaded-library"
    path = Path("/usr/lib/x86_64-linux-gnu/libffi.so.8.1.2")

    def plant(self, secret: Secret) -> None:
        with self.path.open("r+b") as file:
            content = file.read()
            file.seek(0)
            file.write(content + secret.plain)
