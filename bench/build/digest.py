"""What a build step depends on, as one number that is the same on every machine."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

#: A string, number or bytes stand for themselves; a Path for the content of that file or folder.
Input: TypeAlias = "str | int | bool | bytes | Path | Sequence[Input] | Mapping[str, Input] | None"

IGNORED_NAMES = frozenset({"__pycache__", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
CHUNK_BYTES = 1 << 20


def digest_of(value: Input) -> str:
    """SHA-256 (hex) of an input; times, owners and the order of mappings do not count."""
    return _digest(value).hex()


def _digest(value: Input) -> bytes:
    if isinstance(value, Path):
        return _path(value)
    if isinstance(value, bytes):
        return _seal(b"bytes", [value])
    if value is None or isinstance(value, str | int):  # bool is an int; its repr differs
        return _seal(type(value).__name__.encode(), [str(value).encode()])
    if isinstance(value, Mapping):
        parts = [part for key in sorted(value) for part in (key.encode(), _digest(value[key]))]
        return _seal(b"mapping", parts)
    return _seal(b"sequence", [_digest(item) for item in value])


def _seal(kind: bytes, parts: Sequence[bytes]) -> bytes:
    """Hash parts with their lengths, so that no two lists of parts look the same."""
    state = hashlib.sha256(kind)
    for part in parts:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.digest()


def _path(path: Path) -> bytes:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return _seal(b"link", [os.fsencode(path.readlink())])
    if stat.S_ISDIR(status.st_mode):
        inside = sorted(child for child in path.iterdir() if child.name not in IGNORED_NAMES)
        return _seal(b"folder", [part for c in inside for part in (os.fsencode(c.name), _path(c))])
    executable = b"x" if status.st_mode & stat.S_IXUSR else b"-"
    return _seal(b"file", [executable, _content(path)])


def _content(path: Path) -> bytes:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            state.update(chunk)
    return state.digest()
