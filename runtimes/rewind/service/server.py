"""Sockets: a thread for each connection, and a watch for processes that end."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from faults import Refused
from peer import Peer, peer_of
from protocol import CHECKPOINT, DONE, REFUSED, REQUEST_BYTES, reply, request
from registry import Registry

#: A launcher needs one; more only while it finds an old one broken.
CONNECTIONS_OF_ONE = 4
CONNECTIONS = 1024
ANYBODY, OWNER = 0o666, 0o600
#: In the service's folder: SHARED/SOCKET, OWN/NAME/SOCKET, CONTROL.
SHARED, OWN, CONTROL, SOCKET = "socket", "own", "control", "files"
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")
CONTROL_S = 1.0
log = logging.getLogger(__name__)


class Door:
    """A listening socket, and how many connections each process has by it."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self._count: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def admitted(self, peer: Peer) -> Iterator[bool]:
        """Count a connection for the length of the block; whether it may be served."""
        with self._lock:
            self._count[peer.key] += 1
            allowed = self._count[peer.key] <= CONNECTIONS_OF_ONE and self._count.total() <= CONNECTIONS
        try:
            yield allowed
        finally:
            with self._lock:
                self._count[peer.key] -= 1
                if not self._count[peer.key]:
                    del self._count[peer.key]


class Server:
    """A shared socket, and one for each container whose platform asks for it on the control socket.

    Whoever connects gets only its own container put back, whichever socket it comes by; one of its own
    keeps a container from being crowded out by another's connections.
    """

    def __init__(self, folder: Path, registry: Registry) -> None:
        self._registry = registry
        self._own = folder / OWN
        self._lock = threading.Lock()
        self._watch = selectors.DefaultSelector()
        #: Processes to be watched, from the connections' threads.
        self._fresh: list[Peer] = []
        self._wake, self._woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._watch.register(self._wake, selectors.EVENT_READ, self._watch_fresh)
        self._doors: dict[str, Door] = {}
        shared = Door(_listen(folder / SHARED / SOCKET, ANYBODY))
        self._watch.register(shared.listener, selectors.EVENT_READ, partial(self._accept, shared))
        self._own.mkdir(exist_ok=True)
        for left in self._own.iterdir():  # of a service before this one
            self._open(left.name)
        self._control = _listen(folder / CONTROL, OWNER)
        self._watch.register(self._control, selectors.EVENT_READ, self._command)
        for peer in registry.reload():
            self._watch.register(peer.pidfd, selectors.EVENT_READ, partial(self._ended, peer))

    def run(self) -> None:
        """Serve for ever."""
        while True:
            for found, _ in self._watch.select():
                found.data()

    def _ended(self, peer: Peer) -> None:
        self._watch.unregister(peer.pidfd)
        self._registry.ended(peer.key)

    def _accept(self, door: Door) -> None:
        try:
            connection, _ = door.listener.accept()
        except OSError:  # gone again, or no descriptor is free
            time.sleep(0.01)
            return
        threading.Thread(target=self._serve, args=(door, connection), daemon=True).start()

    def _watch_fresh(self) -> None:
        os.read(self._wake, 4096)
        with self._lock:
            fresh, self._fresh = self._fresh, []
        for peer in fresh:
            self._watch.register(peer.pidfd, selectors.EVENT_READ, partial(self._ended, peer))

    def _command(self) -> None:
        """A word of the platform: `open NAME` or `close NAME`; answered with a folder, or why not."""
        try:
            connection, _ = self._control.accept()
            with connection:
                connection.settimeout(CONTROL_S)
                word, _, name = connection.recv(512).decode(errors="replace").partition(" ")
                if not NAME.fullmatch(name) or word not in ("open", "close"):
                    said = "error: neither 'open NAME' nor 'close NAME'"
                else:
                    said = str(self._open(name) if word == "open" else self._close(name))
                connection.send(said.encode(), socket.MSG_NOSIGNAL)
        except OSError as error:
            log.warning("control: %s", error)

    def _open(self, name: str) -> Path:
        folder = self._own / name
        if name not in self._doors:
            folder.mkdir(exist_ok=True)
            door = self._doors[name] = Door(_listen(folder / SOCKET, ANYBODY))
            self._watch.register(door.listener, selectors.EVENT_READ, partial(self._accept, door))
        return folder

    def _close(self, name: str) -> Path:
        folder = self._own / name
        if (door := self._doors.pop(name, None)) is not None:
            self._watch.unregister(door.listener)
            door.listener.close()
        (folder / SOCKET).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()
        return folder

    def _serve(self, door: Door, connection: socket.socket) -> None:
        with connection:
            try:
                peer = peer_of(connection)
            except Refused as error:
                log.warning("connection refused: %s", error)
                return
            kept = False
            try:
                with door.admitted(peer) as allowed:
                    while allowed and (packet := _receive(connection)):
                        kept = self._answer(connection, peer, packet) or kept
            except OSError:  # the peer has gone, or does not read
                pass
            finally:
                if not kept:
                    peer.close()

    def _answer(self, connection: socket.socket, peer: Peer, packet: bytes) -> bool:
        """Do what is asked; True when the peer is watched from now on."""
        asked = request(packet)
        if asked is None:
            raise ConnectionAbortedError
        word, nonce = asked
        kept = False
        try:
            if word == CHECKPOINT:
                done = self._registry.checkpoint(peer)
                with self._lock:
                    self._fresh.append(peer)
                os.write(self._woken, b"x")
                kept = True
            else:
                done = self._registry.reset(peer)
            verdict, text = DONE, json.dumps(done)
        except (Refused, OSError) as error:
            log.warning("process %d: %s", peer.pid, error)
            verdict, text = REFUSED, str(error)
        except Exception:
            log.exception("process %d", peer.pid)
            verdict, text = REFUSED, "the service failed; its log says more"
        connection.send(reply(verdict, nonce, text), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        return kept


def _receive(connection: socket.socket) -> bytes:
    """A packet; empty at the end, or when it is longer than any request."""
    packet = connection.recv(REQUEST_BYTES + 1)
    return packet if len(packet) <= REQUEST_BYTES else b""


def _listen(path: Path, mode: int) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(fresh))
    fresh.chmod(mode)
    listener.listen(128)
    fresh.rename(path)
    return listener
