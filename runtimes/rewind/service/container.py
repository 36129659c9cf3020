"""A container's writable file systems: their checkpoint and their reset."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from entries import Entry
from faults import Refused
from lower import Lower
from mounts import Layers, Writable, read_mounts, writable
from place import Budget
from record import Blob, load, save
from single import SingleFile
from system import BENEATH, openat2
from tree import Tree
from wayback import reset

STEPS = 20_000
#: Generous, for emulated machines.
SECONDS = 20.0
FOLDER = os.O_RDONLY | os.O_DIRECTORY
QUEUES = "/dev/mqueue"


class Container:
    """What a launcher's process sees, from its checkpoint on.

    `key` names the record's files; below `host` the host's root is seen, with the layers' folders.
    """

    def __init__(self, pid: int, key: str, folder: Path, host: str) -> None:
        self._pid = pid
        self._host = host
        self._file = folder / f"{key}.json"
        self._blob = Blob(folder / f"{key}.blob")
        self._lock = threading.Lock()
        self._descriptors: list[int] = []
        self._trees: list[Tree] = []
        self._files: list[SingleFile] = []
        self._root = self._open(f"/proc/{pid}/root")
        status = os.fstat(self._root)
        #: Tells containers apart: each has an overlay of its own.
        self.identity = (status.st_dev, status.st_ino)

    def checkpoint(self) -> dict[str, int]:
        """Remember everything; Refused, OSError."""
        began_ns = time.monotonic_ns()
        with self._lock:
            found = writable(read_mounts(self._pid), self._root)
            self._attach(found)
            budget = Budget(STEPS, SECONDS)
            for tree in self._trees:
                tree.record(self._blob.store, budget)
                if tree.name == QUEUES and len(tree.entries) > 1:
                    raise Refused("a message queue exists before the checkpoint")
            for single in self._files:
                single.record()
            self._save(found)
        return {"entries": self._count(), "ns": time.monotonic_ns() - began_ns}

    def restore_record(self) -> None:
        """Go on with the record of an earlier service; Refused, OSError."""
        with self._lock:
            about, entries = load(self._file)
            if tuple(about["identity"]) != self.identity:
                raise Refused("its root is another one than at the checkpoint")
            layers = Layers(about["upper"], tuple(about["lower"]))
            parts = (tuple(about[name]) for name in ("memory", "files", "points"))
            self._attach(Writable(layers, *parts))
            for part in self._parts():
                _put_entries(part, entries[part.name])

    def reset(self) -> dict[str, int]:
        """Put everything back; Refused, OSError."""
        began_ns = time.monotonic_ns()
        with self._lock:
            budget = Budget(STEPS, SECONDS)
            changed = sum(reset(tree, budget) for tree in self._trees)
            changed += sum(single.reset() for single in self._files)
        return {"entries": changed, "ns": time.monotonic_ns() - began_ns}

    def close(self) -> None:
        """Give its descriptors up; the record stays."""
        with self._lock:
            for found in self._descriptors:
                os.close(found)
            self._descriptors.clear()
            self._trees.clear()
            self._files.clear()

    def forget(self) -> None:
        """Remove its record."""
        self._file.unlink(missing_ok=True)
        self._blob.path.unlink(missing_ok=True)

    def _attach(self, found: Writable) -> None:
        layers = found.layers
        lower = Lower([self._open(self._host + path) for path in layers.lower])
        upper = self._open(self._host + layers.upper)
        mounted = frozenset(point.lstrip("/") for point in found.points)
        self._trees = [Tree("/", self._root, upper, lower, self._blob.read, mounted)]
        for point in found.memory:
            inside = self._inside(point, FOLDER)
            self._trees.append(Tree(point, inside, inside, None, self._blob.read))
        self._files = [
            SingleFile(p, self._inside(p, os.O_PATH | os.O_NOFOLLOW), self._blob) for p in found.files
        ]

    def _save(self, found: Writable) -> None:
        about: dict[str, Any] = {
            "identity": self.identity,
            "upper": found.layers.upper,
            "lower": found.layers.lower,
            "memory": found.memory,
            "files": found.files,
            "points": found.points,
        }
        save(self._file, about, {part.name: part.entries for part in self._parts()})

    def _parts(self) -> list[Tree | SingleFile]:
        return [*self._trees, *self._files]

    def _count(self) -> int:
        return sum(len(part.entries) for part in self._parts())

    def _open(self, path: str) -> int:
        found = os.open(path, FOLDER | os.O_CLOEXEC)
        self._descriptors.append(found)
        return found

    def _inside(self, point: str, flags: int) -> int:
        found = openat2(self._root, point.lstrip("/"), flags, BENEATH)
        self._descriptors.append(found)
        return found


def _put_entries(part: Tree | SingleFile, entries: dict[str, Entry]) -> None:
    for path, entry in entries.items():
        if isinstance(part, Tree):
            part.add(path, entry)
        else:
            part.entries[path] = entry
