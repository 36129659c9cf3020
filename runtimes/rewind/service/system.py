"""System calls that Python has no function for."""

from __future__ import annotations

import ctypes
import os
import struct
import time

NR_OPENAT2 = 437
CLOCK_REALTIME_COARSE = 5

#: No mount is crossed, nothing like /proc/N/root is followed, no symbolic link, nothing above the start.
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
BENEATH = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
WITHIN = BENEATH | RESOLVE_NO_XDEV

_OPEN_HOW = struct.Struct("=QQQ")
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.syscall.argtypes = (
    ctypes.c_long,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_size_t,
)


def openat2(folder: int, path: str, flags: int, resolve: int = WITHIN) -> int:
    """Open `path` relative to the descriptor `folder`; OSError as `os.open`."""
    how = _OPEN_HOW.pack(flags | os.O_CLOEXEC, 0, resolve)
    name = os.fsencode(path) or b"."
    found: int = _libc.syscall(NR_OPENAT2, folder, name, how, len(how))
    if found < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return found


def coarse_now_ns() -> int:
    """The clock that time stamps of files are taken from; it moves in ticks."""
    return time.clock_gettime_ns(CLOCK_REALTIME_COARSE)
