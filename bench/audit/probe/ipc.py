"""Objects of the kernel that belong to no process: System V and POSIX IPC, the network."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from pathlib import Path
from typing import Any

from .base import LENGTH, Channel, Secret, checked, libc

IPC_CREAT = 0o1000
IPC_NOWAIT = 0o4000
SETVAL, GETVAL = 16, 12
RIGHTS = 0o600


def key_of(secret: Secret) -> int:
    """A key for System V IPC."""
    return int(secret.name[:7], 16) + 1


class SharedMemory(Channel):
    """System V shared memory."""

    name, core = "sysv-shared-memory", True

    def plant(self, secret: Secret) -> None:
        libc.shmat.restype = ctypes.c_void_p
        number = checked(libc.shmget(key_of(secret), 4096, IPC_CREAT | RIGHTS))
        address = libc.shmat(number, None, 0)
        ctypes.memmove(address, secret.plain, LENGTH)
        libc.shmdt(ctypes.c_void_p(address))

    def look(self, secret: Secret, carried: Any) -> str:
        libc.shmat.restype = ctypes.c_void_p
        number = libc.shmget(key_of(secret), 0, 0)
        if number == -1:
            return ""
        address = libc.shmat(number, None, 0)
        found = secret.seen_in(ctypes.string_at(address, LENGTH))
        libc.shmdt(ctypes.c_void_p(address))
        return f"segment {number} is there" + (" with the secret" if found else "")


class Semaphore(Channel):
    """A System V semaphore."""

    name = "sysv-semaphore"

    def plant(self, secret: Secret) -> None:
        number = checked(libc.semget(key_of(secret), 1, IPC_CREAT | RIGHTS))
        checked(libc.semctl(number, 0, SETVAL, 7))

    def look(self, secret: Secret, carried: Any) -> str:
        number = libc.semget(key_of(secret), 0, 0)
        return "" if number == -1 else f"its value is {libc.semctl(number, 0, GETVAL)}"


class MessageQueue(Channel):
    """A System V message queue."""

    name = "sysv-message-queue"

    def plant(self, secret: Secret) -> None:
        number = checked(libc.msgget(key_of(secret), IPC_CREAT | RIGHTS))
        message = ctypes.create_string_buffer(b"\1" + bytes(7) + secret.plain)
        checked(libc.msgsnd(number, message, LENGTH, IPC_NOWAIT))

    def look(self, secret: Secret, carried: Any) -> str:
        number = libc.msgget(key_of(secret), 0)
        return "" if number == -1 else f"queue {number} is there"


class PosixQueue(Channel):
    """A POSIX message queue."""

    name = "posix-message-queue"

    def plant(self, secret: Secret) -> None:
        path = f"/audit-{secret.name}".encode()
        number = checked(libc.mq_open(path, os.O_RDWR | os.O_CREAT, RIGHTS, None))
        os.close(number)

    def look(self, secret: Secret, carried: Any) -> str:
        number = libc.mq_open(f"/audit-{secret.name}".encode(), os.O_RDWR)
        if number == -1:
            return ""
        os.close(number)
        return "it is there"


class PosixMemory(Channel):
    """POSIX shared memory."""

    name = "posix-shared-memory"

    def plant(self, secret: Secret) -> None:
        number = checked(libc.shm_open(f"/shm-{secret.name}".encode(), os.O_RDWR | os.O_CREAT, RIGHTS))
        os.write(number, secret.plain)
        os.close(number)

    def look(self, secret: Secret, carried: Any) -> str:
        number = libc.shm_open(f"/shm-{secret.name}".encode(), os.O_RDONLY, 0)
        if number == -1:
            return ""
        os.close(number)
        return "it is there"


class NamedSemaphore(Channel):
    """A POSIX named semaphore."""

    name = "posix-semaphore"

    def plant(self, secret: Secret) -> None:
        libc.sem_open.restype = ctypes.c_void_p
        if not libc.sem_open(f"/sem-{secret.name}".encode(), os.O_CREAT, RIGHTS, 3):
            checked(-1)

    def look(self, secret: Secret, carried: Any) -> str:
        path = Path(f"/dev/shm/sem.sem-{secret.name}")
        return "it is there" if path.exists() else ""


class HostName(Channel):
    """The container's host name."""

    name = "host-name"
    refused = {"root": "EPERM", "nobody": "EPERM"}  # noqa: RUF012  the system call filter

    def plant(self, secret: Secret) -> None:
        socket.sethostname(secret.name)

    def look(self, secret: Secret, carried: Any) -> str:
        return "it is set" if socket.gethostname() == secret.name else ""


class KernelSetting(Channel):
    """A setting of the kernel (/proc/sys)."""

    name = "sysctl"
    refused = {"root": "EROFS", "nobody": "EROFS"}  # noqa: RUF012

    def plant(self, secret: Secret) -> None:
        path = Path("/proc/sys/net/ipv4/ip_local_port_range")
        path.write_text("30000 40000")

    def look(self, secret: Secret, carried: Any) -> str:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
        return "it is set" if text.split() == ["30000", "40000"] else ""


class Interface(Channel):
    """An address of the network interface."""

    name = "network-address"
    refused = {"root": "EPERM", "nobody": "EPERM"}  # noqa: RUF012  no CAP_NET_ADMIN

    def plant(self, secret: Secret) -> None:
        # struct ifreq: name, then sockaddr_in 127.9.9.9
        request = b"lo:9".ljust(16, b"\0") + b"\2\0\0\0\x7f\x09\x09\x09".ljust(24, b"\0")
        with socket.socket(type=socket.SOCK_DGRAM) as any_socket:
            checked(libc.ioctl(any_socket.fileno(), 0x8916, request))

    def look(self, secret: Secret, carried: Any) -> str:
        with socket.socket(type=socket.SOCK_DGRAM) as any_socket:
            found = libc.ioctl(any_socket.fileno(), 0x8915, b"lo:9".ljust(40, b"\0"))
        return (
            "" if found == -1 and ctypes.get_errno() in (errno.ENODEV, errno.EADDRNOTAVAIL) else "it is set"
        )


class IoRing(Channel):
    """An io_uring instance."""

    name = "io-uring"
    refused = {"root": "EPERM", "nobody": "EPERM"}  # noqa: RUF012  the system call filter

    def plant(self, secret: Secret) -> None:
        checked(libc.syscall(425, 4, ctypes.create_string_buffer(120)))

    def look(self, secret: Secret, carried: Any) -> str:
        links = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")[:-1]]  # noqa: PTH115, PTH208
        return "it is open" if any("io_uring" in link for link in links) else ""
