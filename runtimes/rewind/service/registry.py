"""The containers that the service knows, by the process that asked for their checkpoint."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from container import Container
from faults import Refused
from peer import Peer, process

log = logging.getLogger(__name__)


class Registry:
    """Checkpoints and resets of all containers; its methods may be called from any thread."""

    def __init__(self, folder: Path, host: str) -> None:
        self._folder = folder
        self._host = host
        self._lock = threading.Lock()
        self._containers: dict[str, Container] = {}
        self._peers: dict[str, Peer] = {}
        self._refused: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def reload(self) -> list[Peer]:
        """Find the processes that an earlier service has left records of; those of the dead go."""
        found = []
        for path in self._folder.glob("*.json"):
            try:
                peer = process(int(path.stem.partition("-")[0]))
            except (Refused, ValueError):
                peer = None
            if peer is not None and peer.key == path.stem:
                self._peers[peer.key] = peer
                found.append(peer)
                continue
            if peer is not None:
                peer.close()
        for path in self._folder.iterdir():  # also what a killed service has half made
            if path.stem not in self._peers:
                path.unlink()
        return found

    def checkpoint(self, peer: Peer) -> dict[str, int]:
        """Once for each container; Refused, OSError."""
        with self._lock:
            if peer.key in self._peers:
                raise Refused("it has a checkpoint already")
            container = Container(peer.pid, peer.key, self._folder, self._host)
            if any(known.identity == container.identity for known in self._containers.values()):
                container.close()
                raise Refused("another process of its container has a checkpoint")
            self._containers[peer.key] = container
            self._peers[peer.key] = peer
        try:
            return container.checkpoint()
        except BaseException:  # it will not serve
            with self._lock:
                del self._containers[peer.key], self._peers[peer.key]
            container.close()
            container.forget()
            raise

    def reset(self, peer: Peer) -> dict[str, int]:
        """Put its files back; once it could not be done, it is not tried again. Refused, OSError."""
        if reason := self._refused.get(peer.key):
            raise Refused(reason)
        container = self._container(peer)
        try:
            return container.reset()
        except BaseException as error:
            self._refused[peer.key] = str(error)
            raise

    def ended(self, key: str) -> None:
        """A process has ended: its container serves no more."""
        with self._lock:
            container = self._containers.pop(key, None)
            peer = self._peers.pop(key, None)
            self._refused.pop(key, None)
        if container is not None:
            container.close()
        if peer is not None:
            peer.close()
        _remove_record(self._folder / f"{key}.json")

    def _container(self, peer: Peer) -> Container:
        with self._lock:
            known = self._peers.get(peer.key)
            if known is None:
                raise Refused("it has no checkpoint")
            if known.cgroup != peer.cgroup:
                raise Refused("it has moved to another control group")
            if peer.key not in self._containers:
                container = Container(peer.pid, peer.key, self._folder, self._host)
                try:
                    container.restore_record()
                except BaseException:
                    container.close()
                    raise
                self._containers[peer.key] = container
            return self._containers[peer.key]


def _remove_record(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(".blob").unlink(missing_ok=True)
