"""Who is at the other end of a socket: told by the kernel, never by the peer itself."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from faults import Refused

SO_PEERPIDFD = 77
_CREDENTIALS = struct.Struct("3i")
_PID = re.compile(rb"^Pid:\s*(-?\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Peer:
    """A process, for as long as it lives: `pidfd` names it even when its number is used again."""

    pid: int
    pidfd: int
    #: Clock ticks from boot to its start.
    started: int
    cgroup: str

    @property
    def key(self) -> str:
        """Tells processes of one boot apart."""
        return f"{self.pid}-{self.started}"

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        try:
            signal.pidfd_send_signal(self.pidfd, 0)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Give the descriptor up."""
        os.close(self.pidfd)


def peer_of(connection: socket.socket) -> Peer:
    """The process that opened a connection; Refused when it cannot be told."""
    try:
        pidfd = connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError:  # Linux before 6.5
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pidfd = _open(_CREDENTIALS.unpack(raw)[0])
    os.set_inheritable(pidfd, False)  # noqa: FBT003  its only form
    return _peer(pidfd)


def process(pid: int) -> Peer:
    """A process by its number; Refused when there is none."""
    return _peer(_open(pid))


def _open(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        raise Refused(f"its process cannot be told: {error.strerror}") from error


def _peer(pidfd: int) -> Peer:
    try:
        return _look(pidfd)
    except (Refused, OSError) as error:
        os.close(pidfd)
        raise Refused(str(error)) from error


def _look(pidfd: int) -> Peer:
    found = _PID.search(Path(f"/proc/self/fdinfo/{pidfd}").read_bytes())
    pid = int(found[1]) if found else -1
    if pid <= 0:
        raise Refused("its process has ended, or is not to be seen from here")
    stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    cgroup = Path(f"/proc/{pid}/cgroup").read_text()
    peer = Peer(pid, pidfd, int(stat[19]), cgroup)
    if not peer.alive:  # so what was read may be another's
        raise Refused("its process has ended")
    return peer
