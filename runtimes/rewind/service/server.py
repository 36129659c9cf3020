"""Sockets: a thread for each connection, and a watch for processes that end."""

from __future__ import annotations

import json
import logging
import os
import selectors
import socket
import threading
import time
from collections import Counter
from pathlib import Path

from faults import Refused
from peer import Peer, peer_of
from protocol import CHECKPOINT, DONE, REFUSED, REQUEST_BYTES, reply, request
from registry import Registry

#: A launcher needs one; more only while it finds an old one broken.
CONNECTIONS_OF_ONE = 4
CONNECTIONS = 1024
ANYBODY = 0o666
log = logging.getLogger(__name__)


class Server:
    """Listens on `path`; every process may connect, each gets only its own container put back."""

    def __init__(self, path: Path, registry: Registry) -> None:
        self._registry = registry
        self._count: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._watch = selectors.DefaultSelector()
        self._listener = _listen(path)
        self._watch.register(self._listener, selectors.EVENT_READ)
        #: Processes to be watched, from the connections' threads.
        self._fresh: list[Peer] = []
        self._wake, self._woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._watch.register(self._wake, selectors.EVENT_READ)
        for peer in registry.reload():
            self._watch.register(peer.pidfd, selectors.EVENT_READ, peer.key)

    def run(self) -> None:
        """Serve for ever."""
        while True:
            for found, _ in self._watch.select():
                if found.fileobj is self._listener:
                    self._accept()
                elif found.fileobj == self._wake:
                    self._watch_fresh()
                else:
                    self._watch.unregister(found.fileobj)
                    self._registry.ended(found.data)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # gone again, or no descriptor is free
            time.sleep(0.01)
            return
        threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _watch_fresh(self) -> None:
        os.read(self._wake, 4096)
        with self._lock:
            fresh, self._fresh = self._fresh, []
        for peer in fresh:
            self._watch.register(peer.pidfd, selectors.EVENT_READ, peer.key)

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                peer = peer_of(connection)
            except Refused as error:
                log.warning("connection refused: %s", error)
                return
            with self._lock:
                self._count[peer.key] += 1
                allowed = self._count[peer.key] <= CONNECTIONS_OF_ONE and self._count.total() <= CONNECTIONS
            kept = False
            try:
                while allowed and (packet := _receive(connection)):
                    kept = self._answer(connection, peer, packet) or kept
            except OSError:  # the peer has gone, or does not read
                pass
            finally:
                with self._lock:
                    self._count[peer.key] -= 1
                    if not self._count[peer.key]:
                        del self._count[peer.key]
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


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(fresh))
    fresh.chmod(ANYBODY)
    listener.listen(128)
    fresh.rename(path)
    return listener
