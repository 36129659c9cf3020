"""Sockets of this machine that lead through an SSH connection to sockets of the other one.

Each accepted connection becomes one SSH channel and two threads that copy bytes: enough for the tens
of connections that a harness opens, and nothing is shared between them that could delay one.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko

from bench.errors import BenchError

CHUNK_BYTES = 64 << 10
BACKLOG = 128
Open = Callable[[], paramiko.Channel]


@contextlib.contextmanager
def tcp_listener(open_channel: Open) -> Iterator[int]:
    """Listen on a free port of 127.0.0.1 and yield it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    with _serving(listener, open_channel):
        yield int(listener.getsockname()[1])


@contextlib.contextmanager
def unix_listener(path: Path, open_channel: Open) -> Iterator[Path]:
    """Listen on a local socket that only this user can open, and yield it."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(BACKLOG)
    try:
        with _serving(listener, open_channel):
            yield path
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _serving(listener: socket.socket, open_channel: Open) -> Iterator[None]:
    live: set[socket.socket] = set()
    lock = threading.Lock()

    def accept() -> None:
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    def serve(client: socket.socket) -> None:
        with lock:
            live.add(client)
        try:
            if client.family != socket.AF_UNIX:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.closing(open_channel()) as channel:
                _copy_both_ways(client, channel)
        except (BenchError, OSError, EOFError, paramiko.SSHException):
            pass  # the client sees its connection end, and whoever uses the host is told why
        finally:
            with lock:
                live.discard(client)
            client.close()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which close() alone does not
        listener.close()
        with lock:
            for client in live:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)


def _copy_both_ways(client: socket.socket, channel: paramiko.Channel) -> None:
    """Copy until both sides have ended; each end of stream is passed on alone."""

    def inward() -> None:
        with contextlib.suppress(OSError, EOFError):
            while data := client.recv(CHUNK_BYTES):
                channel.sendall(data)
        with contextlib.suppress(OSError, EOFError):
            channel.shutdown_write()

    sender = threading.Thread(target=inward, daemon=True)
    sender.start()
    with contextlib.suppress(OSError, EOFError):
        while data := channel.recv(CHUNK_BYTES):
            client.sendall(data)
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_WR)
    if channel.closed or not channel.get_transport().is_active():  # nobody will take what it sends
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
    sender.join()
