"""A channel: how a request hides a secret, and how a later one looks for it."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
from typing import Any, ClassVar, NoReturn

#: Every secret begins so; what follows is never in the memory of a request that looks for it.
PREFIX = b"rwbS"
DIGITS = 24
LENGTH = len(PREFIX) + DIGITS
_MASK = bytes(byte ^ 0xA5 for byte in range(256))

REGISTRY: dict[str, type[Channel]] = {}
libc = ctypes.CDLL(None, use_errno=True)


class Secret:
    """A secret, whole where it is planted, masked where it is looked for.

    A look must not find itself: it is given the secret masked, and compares what it reads masked.
    `name` is derived from the secret and may be anywhere: for file names, keys and the like.
    """

    def __init__(self, masked: bytes, name: str, plain: bytes = b"") -> None:
        self._masked = masked
        self.name = name
        self._plain = plain

    @classmethod
    def of_seed(cls, seed: str) -> Secret:
        """The whole secret."""
        tail = hashlib.sha256(f"secret {seed}".encode()).hexdigest()[:DIGITS].encode()
        return cls(tail.translate(_MASK), name_of(seed), PREFIX + tail)

    @property
    def masked(self) -> str:
        """As it travels to a look."""
        return self._masked.hex()

    @property
    def plain(self) -> bytes:
        """The secret itself, where it is known."""
        if not self._plain:
            raise ValueError("a look does not know the secret")
        return self._plain

    @property
    def text(self) -> str:
        """The secret itself, as text."""
        return self.plain.decode()

    def seen_in(self, data: bytes | str | None) -> bool:
        """Whether the secret is in what was read."""
        data = data.encode(errors="replace") if isinstance(data, str) else data or b""
        at = data.find(PREFIX)
        while at >= 0:
            if data[at + len(PREFIX) : at + LENGTH].translate(_MASK) == self._masked:
                return True
            at = data.find(PREFIX, at + 1)
        return False


def name_of(seed: str) -> str:
    """What a secret's files and keys are called: 12 hexadecimal digits."""
    return hashlib.sha256(f"name {seed}".encode()).hexdigest()[:12]


class Channel:
    """One way from a request to a later one.

    `prepare` runs once, when the action is imported, so that what it makes is part of every
    snapshot; then come `plant` and, as later requests, `look`. An OSError of `plant` means that it was
    refused.
    The docstring's first line is the channel's line in tables.
    """

    name: ClassVar[str] = ""
    family: ClassVar[str] = ""
    #: Needs a container of its own, as it harms others.
    alone: ClassVar[bool] = False
    #: `plant` returns what `look` must be given (never the secret).
    carries: ClassVar[bool] = False
    #: The secret is in the planting request as it is.
    in_request: ClassVar[bool] = False
    #: Launcher user ("root", "nobody") -> the errno that refuses the planting, even without isolation.
    refused: ClassVar[dict[str, str]] = {}
    #: Part of the short selection.
    core: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.family = cls.__module__.rpartition(".")[2]
        cls.core = bool(cls.__dict__.get("core"))  # of each its own
        if "name" in cls.__dict__:
            if cls.name in REGISTRY:
                raise ValueError(f"two channels are called {cls.name}")
            REGISTRY[cls.name] = cls

    def prepare(self) -> None:
        """At the action's import."""

    def settle(self) -> None:
        """At the action's import too, when all channels are prepared."""

    def plant(self, secret: Secret) -> Any:
        """Hide the secret."""
        raise NotImplementedError

    def look(self, secret: Secret, carried: Any) -> str:
        """The evidence, "" when there is none."""
        raise NotImplementedError


def checked(result: int) -> int:
    """The result of a C library call; OSError with its errno where it failed (-1)."""
    if result == -1:
        refuse(ctypes.get_errno())
    return result


def refuse(number: int) -> NoReturn:
    """Raise an errno as an OSError."""
    raise OSError(number, os.strerror(number))


def errno_name(number: int | None) -> str:
    """As "EACCES"."""
    return errno.errorcode.get(number or 0, str(number))
