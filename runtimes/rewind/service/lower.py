"""What the layers of an image hold under a path, as the overlay would find it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from entries import is_opaque, is_whiteout
from system import openat2

#: Found paths that are kept: an image does not change while a container lives.
CACHED = 4096


@dataclass(frozen=True)
class Found:
    """A lower entry, and the layer folder that it is in."""

    status: os.stat_result
    layer: int


class Lower:
    """The lower layers of one overlay, topmost first; descriptors of their folders."""

    def __init__(self, layers: list[int]) -> None:
        self._layers = layers
        self._cache: dict[str, Found | None] = {}

    def find(self, path: str) -> Found | None:
        """The topmost entry of that path; None when the image has none."""
        if path not in self._cache:
            if len(self._cache) >= CACHED:
                self._cache.clear()
            self._cache[path] = self._find(path)
        return self._cache[path]

    def open(self, path: str, found: Found, flags: int) -> int:
        """Open what `find` found."""
        return openat2(found.layer, path, flags)

    def _find(self, path: str) -> Found | None:
        for layer in self._layers:
            found, last = _in_layer(layer, path)
            if found is not None:
                return Found(found, layer)
            if last:
                return None
        return None

    def close(self) -> None:
        """Give the descriptors up."""
        for layer in self._layers:
            os.close(layer)


def _in_layer(layer: int, path: str) -> tuple[os.stat_result | None, bool]:
    """The entry in one layer, and whether layers below it count no more."""
    parts = path.split("/")
    last = False
    for number in range(1, len(parts) + 1):
        part = "/".join(parts[:number])
        try:
            status = os.stat(part, dir_fd=layer, follow_symlinks=False)
        except FileNotFoundError:
            return None, last
        if is_whiteout(status.st_mode, status.st_rdev):
            return None, True
        if number == len(parts):
            return status, True
        if not stat.S_ISDIR(status.st_mode):
            return None, True
        last = last or _opaque(layer, part)
    return None, last


def _opaque(layer: int, path: str) -> bool:
    folder = openat2(layer, path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return is_opaque(folder)
    finally:
        os.close(folder)
