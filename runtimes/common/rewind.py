"""The REWIND kernel's three system calls, with errors as exceptions that carry the kernel's reason.

A launcher permits its children once, with `rewindable()`. A child that serves requests then does

    generation = checkpoint()        # 0; after each rewind the same line returns 1, 2, ...
    reseed(generation)
    answer(next_request())
    rewind()                         # does not return

Needs nothing but the standard library, and runs inside containers.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from enum import IntFlag
from typing import NoReturn

NR_CHECKPOINT = 548
NR_REWIND = 549
NR_REWINDABLE = 550
STATE_FILE = "/proc/self/rewind"
REASON_KEY = "refusal"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.syscall.argtypes = (ctypes.c_long, ctypes.c_ulong)


class Flags(IntFlag):
    """What may be switched off, to measure what it is worth; the low two bits mean nothing."""

    NONE = 0
    NO_REUSE = 1 << 2
    NO_REGION_REUSE = 1 << 3
    FULL_WALK = 1 << 4
    #: Debug kernels only: compare every page after the rewind.
    VERIFY = 1 << 5
    #: Of a checkpoint: no later one may replace it.
    SEAL = 1 << 6


class RewindError(OSError):
    """A call failed and nothing was changed; `reason` is the kernel's own word, or empty."""

    def __init__(self, call: str, number: int, reason: str = "") -> None:
        words = f"{call}: {os.strerror(number)}" + (f" ({reason})" if reason else "")
        super().__init__(number, words)
        self.call = call
        self.reason = reason


class UnavailableError(RewindError):
    """The kernel has no REWIND."""


class NotPermittedError(RewindError):
    """No ancestor has called `rewindable()`, or the facility is switched off."""


class NoCheckpointError(RewindError):
    """`rewind()` before `checkpoint()`."""


class BusyError(RewindError):
    """Another thread is in a checkpoint or rewind."""


class RefusedError(RewindError):
    """The process has state that cannot be restored: retire it. `reason` says which."""


_KINDS: dict[int, type[RewindError]] = {
    errno.ENOSYS: UnavailableError,
    errno.EPERM: NotPermittedError,
    errno.ENODATA: NoCheckpointError,
    errno.EBUSY: BusyError,
    errno.EOPNOTSUPP: RefusedError,
}


def checkpoint(flags: int = Flags.NONE) -> int:
    """Snapshot this process; returns 0, and after each rewind returns again with 1, 2, ...

    A second checkpoint replaces the first. Raises a RewindError.
    """
    return _call("checkpoint", NR_CHECKPOINT, flags)


def rewind(flags: int = Flags.NONE) -> NoReturn:
    """Take the whole process back to its checkpoint. Returns only by raising a RewindError."""
    _call("rewind", NR_REWIND, flags)
    raise AssertionError("rewind returned without an error")


def rewindable() -> None:
    """Permit the children that this process, and its parent, start from now on to checkpoint."""
    _call("rewindable", NR_REWINDABLE, 0)


def state() -> dict[str, str]:
    """The kernel's counters and timings for this process; empty where it does not show them."""
    values = {}
    with contextlib.suppress(OSError), open(STATE_FILE) as file:  # noqa: PTH123  (imports less)
        for line in file:
            key, _, value = line.rstrip("\n").partition(" ")
            values[key.rstrip(":")] = value.strip()
    return values


def _call(name: str, number: int, flags: int) -> int:
    result: int = _libc.syscall(number, flags)
    if result < 0:
        code = ctypes.get_errno()
        reason = state().get(REASON_KEY, "") if code == errno.EOPNOTSUPP else ""
        raise _KINDS.get(code, RewindError)(name, code, reason)
    return result
