"""The build cache on disk: finished products, locks, temporaries, logs, and its size limit.

products/NAME-DIGEST/     a finished product; a folder that appears whole, by rename
temporary/NAME-DIGEST/    of a build that runs (its lock is held) or died (it is not)
locks/NAME-DIGEST         held by whoever builds or drops that product
logs/NAME-DIGEST.log      output of the last attempt
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.paths import cache_dir

#: Written last into a product: its inputs, size and build time; its mtime is the last use.
META_NAME = ".step.json"
DIGEST_CHARS = 16
DEFAULT_LIMIT_BYTES = 40 << 30
#: A product used this recently may be in use by another harness and is never dropped.
SPARED_S = 6 * 3600.0


@dataclass(frozen=True)
class Slot:
    """The places in the cache that belong to one product."""

    name: str
    digest: str

    @property
    def key(self) -> str:
        """Name of the product's folder, lock and log."""
        return f"{self.name}-{self.digest[:DIGEST_CHARS]}"

    @property
    def path(self) -> Path:
        """The finished product."""
        return cache_dir() / "products" / self.key

    @property
    def temporary(self) -> Path:
        """Where a build works."""
        return cache_dir() / "temporary" / self.key

    @property
    def log(self) -> Path:
        """Output of the last build."""
        return cache_dir() / "logs" / f"{self.key}.log"

    def finished(self) -> bool:
        """True when the product is there, whole."""
        return (self.path / META_NAME).is_file()

    def touch(self) -> None:
        """Note that the product was used just now."""
        with contextlib.suppress(OSError):  # a read-only cache is still a cache
            os.utime(self.path / META_NAME)


@contextlib.contextmanager
def locked(key: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of a product, also against other processes; yields False if not `wait` and taken."""
    folder = cache_dir() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / key).open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True  # closing the file releases the lock


def remove_tree(path: Path) -> None:
    """Remove a folder, or as much of it as can be: a dying build may still write to it."""
    shutil.rmtree(path, ignore_errors=True)


def remove_leftovers() -> list[Path]:
    """Remove the temporaries of builds that died; returns what was removed."""
    removed = []
    for folder in sorted((cache_dir() / "temporary").glob("*")):
        with locked(folder.name, wait=False) as mine:
            if mine:
                remove_tree(folder)
                removed.append(folder)
    return removed


def size_bytes(path: Path) -> int:
    """Disk space of a file or folder, sparse files counted as they are stored."""
    if not path.is_dir():
        return path.lstat().st_blocks * 512
    return sum(entry.lstat().st_blocks * 512 for entry in path.rglob("*"))


def trim(
    limit_bytes: int = DEFAULT_LIMIT_BYTES,
    *,
    keep: Collection[Path] = (),
    spared_s: float = SPARED_S,
) -> list[Path]:
    """Drop least recently used products until the cache is within its limit; returns what went.

    Never drops those in `keep`, those used within the last `spared_s`, and those being built.
    """
    kept = {path.resolve() for path in keep}
    found = [(_last_use(path), size_bytes(path), path) for path in _products()]
    excess = sum(size for _, size, _ in found) - limit_bytes
    dropped = []
    for used, size, path in sorted(found):
        if excess <= 0 or time.time() - used < spared_s:
            break
        if path.resolve() not in kept and _drop(path):
            excess -= size
            dropped.append(path)
    return dropped


def _products() -> list[Path]:
    return [path for path in (cache_dir() / "products").glob("*") if path.is_dir()]


def _last_use(path: Path) -> float:
    with contextlib.suppress(OSError):
        return (path / META_NAME).stat().st_mtime
    return 0.0


def _drop(path: Path) -> bool:
    with locked(path.name, wait=False) as mine:
        if mine:
            doomed = cache_dir() / "temporary" / path.name
            doomed.parent.mkdir(parents=True, exist_ok=True)
            remove_tree(doomed)
            path.rename(doomed)  # nobody sees half of it
            remove_tree(doomed)
        return mine
