"""Open descriptors: those that a request leaves open, and those that it shares with later ones."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import socket
import tempfile
from typing import Any

from .base import LENGTH, Channel, Secret, checked, libc

PORT_BASE = 20000
#: Far above what is in use: for what asks for a certain number.
SPARE = 150
CLOSE_ON_EXEC = 0o2000000


def opened() -> dict[int, str]:
    """Descriptor -> what it leads to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
        except OSError:  # the listing's own
            continue
    return found


class Left(Channel):
    """A descriptor of some kind that stays open; a look finds it among all that are open."""

    kind = ""

    def settle(self) -> None:
        self.before = set(opened().values())

    def look(self, secret: Secret, carried: Any) -> str:
        for number, leads_to in opened().items():
            if self.kind in leads_to and leads_to not in self.before and self.holds(number, secret):
                return f"descriptor {number}: {leads_to}"
        return ""

    def holds(self, number: int, secret: Secret) -> bool:
        """Whether this one is the planted one."""
        del number, secret
        return True


class Anonymous(Left):
    """One whose link says its kind only: there are more of them than before."""

    def settle(self) -> None:
        self.count = sum(self.kind in link for link in opened().values())

    def look(self, secret: Secret, carried: Any) -> str:
        now = sum(self.kind in link for link in opened().values())
        return f"{now - self.count} more of {self.kind}" if now > self.count else ""


class DeletedFile(Left):
    """A deleted file that is kept open."""

    name, core, kind = "deleted-file", True, "(deleted)"

    def plant(self, secret: Secret) -> None:
        number, path = tempfile.mkstemp(dir="/tmp")
        os.write(number, secret.plain)
        os.unlink(path)  # noqa: PTH108

    def holds(self, number: int, secret: Secret) -> bool:
        return secret.seen_in(os.pread(number, 1000, 0))


class Pipe(Left):
    """A pipe with data in it."""

    name, core, kind = "pipe", True, "pipe:"

    def plant(self, secret: Secret) -> None:
        self.ends = os.pipe()
        os.write(self.ends[1], secret.plain)


class SocketPair(Left):
    """A pair of sockets with data in it."""

    name, kind = "socket-pair", "socket:"

    def plant(self, secret: Secret) -> None:
        ours, theirs = socket.socketpair()
        ours.send(secret.plain)
        self.ends = ours.detach(), theirs.detach()

    def holds(self, number: int, secret: Secret) -> bool:
        """By its data: a scheme may have sockets of its own."""
        with socket.socket(fileno=os.dup(number)) as end:
            try:
                return secret.seen_in(end.recv(1000, socket.MSG_PEEK | socket.MSG_DONTWAIT))
            except OSError:
                return False


class Memfd(Left):
    """A file in memory (memfd)."""

    name, core, kind = "memfd", True, "/memfd:audit-left"

    def plant(self, secret: Secret) -> None:
        os.write(os.memfd_create("audit-left"), secret.plain)

    def holds(self, number: int, secret: Secret) -> bool:
        return secret.seen_in(os.pread(number, 1000, 0))


class Folder(Left):
    """An open folder."""

    name, kind = "open-folder", "/tmp/"

    def plant(self, secret: Secret) -> None:
        os.open(tempfile.mkdtemp(prefix=secret.name, dir="/tmp"), os.O_RDONLY)

    def holds(self, number: int, secret: Secret) -> bool:
        return secret.name in opened().get(number, "")


class Epoll(Anonymous):
    """An epoll instance."""

    name, kind = "epoll", "[eventpoll]"

    def plant(self, secret: Secret) -> None:
        self.kept = select.epoll()


class EventFd(Anonymous):
    """An event counter."""

    name, kind = "eventfd", "[eventfd]"

    def plant(self, secret: Secret) -> None:
        os.eventfd(int(secret.name[:6], 16))


class Inotify(Anonymous):
    """A watch on a folder, which tells later requests' files."""

    name, kind = "inotify", "inotify"

    def plant(self, secret: Secret) -> None:
        number = checked(libc.inotify_init1(0))
        checked(libc.inotify_add_watch(number, b"/tmp", 0xFFF))


class TimerFd(Anonymous):
    """A timer with a descriptor."""

    name, kind = "timerfd", "[timerfd]"

    def plant(self, secret: Secret) -> None:
        checked(libc.timerfd_create(1, 0))


class SignalFd(Anonymous):
    """A descriptor that takes signals."""

    name, kind = "signalfd", "[signalfd]"

    def plant(self, secret: Secret) -> None:
        mask = (ctypes.c_ulong * 16)()
        mask[0] = 1 << (signal.SIGUSR2 - 1)
        checked(libc.signalfd(-1, mask, 0))


class Listening(Channel):
    """A listening socket: the port is taken, and whoever connects is heard."""

    name, core = "listening-socket", True

    def plant(self, secret: Secret) -> None:
        server = socket.create_server(("127.0.0.1", self._port(secret)))
        self.number = server.detach()

    def look(self, secret: Secret, carried: Any) -> str:
        with socket.socket() as mine:
            mine.settimeout(1)
            heard = mine.connect_ex(("127.0.0.1", self._port(secret))) == 0
        return f"port {self._port(secret)} is open" if heard else ""

    def _port(self, secret: Secret) -> int:
        return PORT_BASE + int(secret.name[:3], 16)


class BoundPort(Channel):
    """A bound UDP port with a datagram that waits."""

    name = "udp-port"

    def plant(self, secret: Secret) -> None:
        mine = socket.socket(type=socket.SOCK_DGRAM)
        mine.bind(("127.0.0.1", PORT_BASE + int(secret.name[:3], 16)))
        mine.sendto(secret.plain, mine.getsockname())
        self.number = mine.detach()

    def look(self, secret: Secret, carried: Any) -> str:
        with socket.socket(type=socket.SOCK_DGRAM) as mine:
            try:
                mine.bind(("127.0.0.1", PORT_BASE + int(secret.name[:3], 16)))
            except OSError as error:
                return f"cannot be bound: {error.strerror}"
        return ""


class AbstractSocket(Channel):
    """A Unix socket with an abstract name."""

    name, core = "abstract-socket", True

    def plant(self, secret: Secret) -> None:
        server = socket.socket(socket.AF_UNIX)
        server.bind(f"\0audit-{secret.name}")
        server.listen()
        self.number = server.detach()

    def look(self, secret: Secret, carried: Any) -> str:
        with socket.socket(socket.AF_UNIX) as mine:
            return "it is heard" if mine.connect_ex(f"\0audit-{secret.name}") == 0 else ""


class SharedOffset(Channel):
    """The position in a file that was open before the first request."""

    name, core = "shared-offset", True

    def prepare(self) -> None:
        self.number = os.open(__file__, os.O_RDONLY)

    def plant(self, secret: Secret) -> None:
        os.lseek(self.number, int(secret.name[:4], 16) + 1, os.SEEK_SET)

    def look(self, secret: Secret, carried: Any) -> str:
        found = os.lseek(self.number, 0, os.SEEK_CUR)
        return f"it is {found}" if found else ""


class SharedFlags(Channel):
    """Flags of a descriptor that was open before the first request (O_APPEND, O_NONBLOCK)."""

    name = "shared-flags"

    def prepare(self) -> None:
        self.number = os.open(__file__, os.O_RDONLY)

    def plant(self, secret: Secret) -> None:
        os.set_blocking(self.number, False)

    def look(self, secret: Secret, carried: Any) -> str:
        return "" if os.get_blocking(self.number) else "O_NONBLOCK is set"


class DescriptorFlags(Channel):
    """Whether a descriptor that was open before goes to programs that are started."""

    name = "close-on-exec"

    def prepare(self) -> None:
        self.number = os.open(__file__, os.O_RDONLY | os.O_CLOEXEC)

    def plant(self, secret: Secret) -> None:
        os.set_inheritable(self.number, True)  # noqa: FBT003  its only form

    def look(self, secret: Secret, carried: Any) -> str:
        return "it is inherited" if os.get_inheritable(self.number) else ""


class SharedPipe(Channel):
    """Data in a pipe that was open before the first request."""

    name, core = "shared-pipe", True

    def prepare(self) -> None:
        self.ends = os.pipe()
        os.set_blocking(self.ends[0], False)

    def plant(self, secret: Secret) -> None:
        os.write(self.ends[1], secret.plain)

    def look(self, secret: Secret, carried: Any) -> str:
        try:
            return "in the pipe" if secret.seen_in(os.read(self.ends[0], 1000)) else ""
        except BlockingIOError:
            return ""


class SharedMemfd(Channel):
    """Content of a file in memory that was open before the first request."""

    name = "shared-memfd"

    def prepare(self) -> None:
        self.number = os.memfd_create("audit-shared")
        os.write(self.number, bytes(LENGTH))

    def plant(self, secret: Secret) -> None:
        os.pwrite(self.number, secret.plain, 0)

    def look(self, secret: Secret, carried: Any) -> str:
        return "in the file" if secret.seen_in(os.pread(self.number, LENGTH, 0)) else ""


class SharedEventFd(Channel):
    """An event counter that was open before the first request."""

    name = "shared-eventfd"

    def prepare(self) -> None:
        self.number = os.eventfd(0, os.EFD_NONBLOCK)

    def plant(self, secret: Secret) -> None:
        os.eventfd_write(self.number, int(secret.name[:4], 16) + 1)

    def look(self, secret: Secret, carried: Any) -> str:
        try:
            return f"it counts {os.eventfd_read(self.number)}"
        except BlockingIOError:
            return ""


class FileLock(Channel):
    """A lock on a file that was open before the first request."""

    name = "file-lock"

    def prepare(self) -> None:
        self.path = f"/tmp/rewind-bench-audit-lock-{os.getpid()}"
        self.number = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)

    def plant(self, secret: Secret) -> None:
        fcntl.flock(self.number, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def look(self, secret: Secret, carried: Any) -> str:
        mine = os.open(self.path, os.O_RDWR)
        try:
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "the file is locked"
        finally:
            os.close(mine)
        return ""


class Closed(Channel):
    """A descriptor that one request closes and later ones need."""

    name, alone = "closed-descriptor", True

    def prepare(self) -> None:
        self.number = os.open(__file__, os.O_RDONLY)

    def plant(self, secret: Secret) -> None:
        os.close(self.number)

    def look(self, secret: Secret, carried: Any) -> str:
        return "" if opened().get(self.number) == __file__ else "it does not lead where it did"


class Redirected(Channel):
    """A descriptor led elsewhere (dup2)."""

    name, core, alone = "redirected-descriptor", True, True

    def prepare(self) -> None:
        self.number = os.open(__file__, os.O_RDONLY)

    def plant(self, secret: Secret) -> None:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, self.number)
        os.close(null)

    def look(self, secret: Secret, carried: Any) -> str:
        found = opened().get(self.number)
        return "" if found == __file__ else f"it leads to {found}"


class RedirectedOutput(Channel):
    """Standard error led elsewhere: later requests' logs are lost, or told to another."""

    name, alone = "redirected-stderr", True

    def prepare(self) -> None:
        self.before = opened().get(2)

    def plant(self, secret: Secret) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)

    def look(self, secret: Secret, carried: Any) -> str:
        found = opened().get(2)
        return "" if found == self.before else f"it leads to {found}"


class HighDescriptor(Channel):
    """A descriptor with a number that a later request may ask for."""

    name = "high-descriptor"

    def plant(self, secret: Secret) -> None:
        os.dup2(0, SPARE)

    def look(self, secret: Secret, carried: Any) -> str:
        found = opened().get(SPARE)
        return f"descriptor {SPARE} leads to {found}" if found else ""
