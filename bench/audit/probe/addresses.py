"""The process's own memory: its mappings, and reading them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .base import LENGTH, Secret, checked, libc

PAGE = os.sysconf("SC_PAGE_SIZE")
CHUNK = 1 << 20
READ, WRITE = 1, 2
SHARED, PRIVATE, FIXED, ANONYMOUS = 0x01, 0x02, 0x10, 0x20
FAILED = ctypes.c_void_p(-1).value

libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.mprotect.argtypes = libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.mremap.restype = ctypes.c_void_p
libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]


@dataclass(frozen=True)
class Mapping:
    """A line of /proc/self/maps."""

    start: int
    end: int
    rights: str
    label: str

    @property
    def anonymous(self) -> bool:
        """Neither a file's nor a special one."""
        return not self.label


def mappings() -> Iterator[Mapping]:
    """All of them."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        area, rights, _, _, _, *label = line.split(maxsplit=5)
        start, end = (int(number, 16) for number in area.split("-"))
        yield Mapping(start, end, rights, label[0] if label else "")


def scan(secret: Secret, wanted: Callable[[Mapping], bool] = lambda _: True) -> str:
    """Where in memory the secret is, as evidence; read through /proc/self/mem."""
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for mapping in [m for m in mappings() if m.rights[0] == "r" and wanted(m)]:
            for start in range(mapping.start, mapping.end, CHUNK):
                size = min(CHUNK + LENGTH, mapping.end - start)
                try:
                    data = os.pread(memory.fileno(), size, start)
                except (OSError, OverflowError):  # special mappings
                    break
                if secret.seen_in(data):
                    return f"in {mapping.label or 'anonymous memory'} ({mapping.rights})"
    return ""


def anonymous(length: int, rights: int = READ | WRITE, flags: int = PRIVATE, at: int = 0) -> int:
    """Map anonymous memory; its address."""
    address: int | None = libc.mmap(at, length, rights, flags | ANONYMOUS | (FIXED if at else 0), -1, 0)
    if address is None or address == FAILED:
        checked(-1)
    assert address is not None  # noqa: S101
    return address


def put(address: int, data: bytes) -> None:
    """Write to memory."""
    ctypes.memmove(address, data, len(data))


def get(address: int, length: int) -> bytes:
    """Read memory, b"" where it cannot be read."""
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        try:
            return os.pread(memory.fileno(), length, address)
        except OSError:
            return b""
