"""The interpreter's own state: what a request's Python code leaves for the next one's."""

from __future__ import annotations

import atexit
import builtins
import codecs
import contextvars
import copyreg
import ctypes
import decimal
import gc
import json
import linecache
import locale
import logging
import os
import random
import signal
import socket
import sys
import threading
import types
import warnings
from collections.abc import Callable
from typing import Any

from . import addresses as at
from .base import LENGTH, Channel, Secret, libc

GLOBAL: list[str] = []
LOCAL = threading.local()
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("rewind_bench_audit", default="")
DRAWS = 64


class ModuleGlobal(Channel):
    """A global variable of the action."""

    name, core = "module-global", True

    def plant(self, secret: Secret) -> None:
        GLOBAL.append(secret.text)

    def look(self, secret: Secret, carried: Any) -> str:
        return "in the variable" if any(map(secret.seen_in, GLOBAL)) else ""


class ObjectAttribute(Channel):
    """An attribute of an object that all requests share."""

    name, core = "object-attribute", True

    def plant(self, secret: Secret) -> None:
        setattr(json.JSONDecoder, f"audit_{secret.name}", secret.text)

    def look(self, secret: Secret, carried: Any) -> str:
        return "in json.JSONDecoder" if hasattr(json.JSONDecoder, f"audit_{secret.name}") else ""


class InternedString(Channel):
    """The interpreter's table of interned strings."""

    name, core = "interned-string", True

    def plant(self, secret: Secret) -> None:
        self.kept = sys.intern(f"interned {secret.text}")

    def look(self, secret: Secret, carried: Any) -> str:
        return at.scan(secret, lambda m: m.anonymous or m.label == "[heap]")


class ImportCache(Channel):
    """The cache of imported modules."""

    name, core = "import-cache", True

    def plant(self, secret: Secret) -> None:
        sys.modules[f"audit_{secret.name}"] = types.ModuleType(secret.text)

    def look(self, secret: Secret, carried: Any) -> str:
        return "in sys.modules" if f"audit_{secret.name}" in sys.modules else ""


class PatchedBuiltin(Channel):
    """A builtin function that is replaced."""

    name, core = "patched-builtin", True

    def plant(self, secret: Secret) -> None:
        real: Callable[..., Any] = builtins.sorted

        def stolen(*args: Any, **kwargs: Any) -> Any:
            return real(*args, **kwargs)

        stolen.__doc__ = secret.text
        builtins.sorted = stolen

    def look(self, secret: Secret, carried: Any) -> str:
        return "sorted() is another request's" if secret.seen_in(builtins.sorted.__doc__) else ""


class Environment(Channel):
    """An environment variable."""

    name, core = "environment", True

    def plant(self, secret: Secret) -> None:
        os.environ["REWIND_BENCH_AUDIT"] = secret.text

    def look(self, secret: Secret, carried: Any) -> str:
        libc.getenv.restype = ctypes.c_char_p
        for found in (os.environ.get("REWIND_BENCH_AUDIT"), libc.getenv(b"REWIND_BENCH_AUDIT")):
            if secret.seen_in(found):
                return "in the environment"
        return ""


class RandomStream(Channel):
    """The next request draws numbers that this one can foresee (or draws the same)."""

    name, core, carries = "random-stream", True, True

    def plant(self, secret: Secret) -> list[float]:
        copy = random.Random()  # noqa: S311  the subject
        copy.setstate(random.getstate())
        return [copy.random() for _ in range(DRAWS)]

    def look(self, secret: Secret, carried: Any) -> str:
        drawn = [random.random() for _ in range(4)]  # noqa: S311
        return "numbers are those that were foreseen" if set(drawn) & set(carried) else ""


class RandomSeed(Channel):
    """A seed that one request sets for the next."""

    name = "random-seed"

    def plant(self, secret: Secret) -> None:
        random.seed(secret.name)

    def look(self, secret: Secret, carried: Any) -> str:
        theirs = random.Random(secret.name)  # noqa: S311
        known = {theirs.random() for _ in range(DRAWS)}
        return "numbers follow another request's seed" if random.random() in known else ""  # noqa: S311


class WarningsFilter(Channel):
    """A warnings filter."""

    name = "warnings-filter"

    def plant(self, secret: Secret) -> None:
        warnings.filterwarnings("ignore", message=secret.text)

    def look(self, secret: Secret, carried: Any) -> str:
        patterns = [entry[1].pattern for entry in warnings.filters if entry[1] is not None]
        return "in warnings.filters" if any(map(secret.seen_in, patterns)) else ""


class LoggingHandler(Channel):
    """A handler of the root logger."""

    name = "logging-handler"

    def plant(self, secret: Secret) -> None:
        handler = logging.NullHandler()
        handler.set_name(secret.text)
        logging.getLogger().addHandler(handler)

    def look(self, secret: Secret, carried: Any) -> str:
        names = [handler.get_name() for handler in logging.getLogger().handlers]
        return "in the root logger" if any(map(secret.seen_in, names)) else ""


class AtExit(Channel):
    """A function that runs when the interpreter ends."""

    name = "atexit"

    def prepare(self) -> None:
        self.count = atexit._ncallbacks()  # noqa: SLF001

    def plant(self, secret: Secret) -> None:
        atexit.register(str, secret.text)

    def look(self, secret: Secret, carried: Any) -> str:
        more = atexit._ncallbacks() - self.count  # noqa: SLF001
        return f"{more} more handlers" if more > 0 else ""


class Locale(Channel):
    """The C library's locale."""

    name = "locale"

    def prepare(self) -> None:
        self.before = locale.setlocale(locale.LC_TIME)

    def plant(self, secret: Secret) -> None:
        locale.setlocale(locale.LC_TIME, "C.UTF-8" if self.before == "C" else "C")

    def look(self, secret: Secret, carried: Any) -> str:
        now = locale.setlocale(locale.LC_TIME)
        return "" if now == self.before else f"LC_TIME is {now}"


class SignalHandler(Channel):
    """A signal handler of Python's."""

    name, core = "signal-handler", True

    def plant(self, secret: Secret) -> None:
        def handler(number: int, frame: Any) -> None:
            del number, frame

        handler.__doc__ = secret.text
        signal.signal(signal.SIGUSR1, handler)

    def look(self, secret: Secret, carried: Any) -> str:
        found = signal.getsignal(signal.SIGUSR1)
        return "for SIGUSR1" if secret.seen_in(getattr(found, "__doc__", None)) else ""


class SysPath(Channel):
    """A folder on the module search path."""

    name = "sys-path"

    def plant(self, secret: Secret) -> None:
        sys.path.append(f"/{secret.text}")

    def look(self, secret: Secret, carried: Any) -> str:
        return "in sys.path" if any(map(secret.seen_in, sys.path)) else ""


class SocketTimeout(Channel):
    """The default timeout of sockets."""

    name = "socket-timeout"

    def plant(self, secret: Secret) -> None:
        socket.setdefaulttimeout(int(secret.name[:4], 16) + 1)

    def look(self, secret: Secret, carried: Any) -> str:
        found = socket.getdefaulttimeout()
        return f"it is {found} s" if found == int(secret.name[:4], 16) + 1 else ""


class DecimalContext(Channel):
    """The precision of decimal numbers."""

    name = "decimal-context"

    def plant(self, secret: Secret) -> None:
        decimal.getcontext().prec = int(secret.name[:3], 16) + 100

    def look(self, secret: Secret, carried: Any) -> str:
        found = decimal.getcontext().prec
        return f"it is {found}" if found == int(secret.name[:3], 16) + 100 else ""


class ThreadLocal(Channel):
    """A thread-local variable."""

    name, core = "thread-local", True

    def plant(self, secret: Secret) -> None:
        LOCAL.value = secret.text

    def look(self, secret: Secret, carried: Any) -> str:
        return "in the variable" if secret.seen_in(getattr(LOCAL, "value", "")) else ""


class ContextVariable(Channel):
    """A context variable."""

    name = "context-variable"

    def plant(self, secret: Secret) -> None:
        VARIABLE.set(secret.text)

    def look(self, secret: Secret, carried: Any) -> str:
        return "in the variable" if secret.seen_in(VARIABLE.get()) else ""


class CollectorCallback(Channel):
    """A callback of the garbage collector."""

    name = "gc-callback"

    def plant(self, secret: Secret) -> None:
        def callback(phase: str, info: dict[str, int]) -> None:
            del phase, info

        callback.__doc__ = secret.text
        gc.callbacks.append(callback)

    def look(self, secret: Secret, carried: Any) -> str:
        found = any(secret.seen_in(getattr(one, "__doc__", None)) for one in gc.callbacks)
        return "in gc.callbacks" if found else ""


class CyclicGarbage(Channel):
    """Garbage in a cycle that no collection has found yet."""

    name = "cyclic-garbage"

    def plant(self, secret: Secret) -> None:
        gc.collect()
        lost: list[Any] = [secret.text]
        lost.append(lost)

    def look(self, secret: Secret, carried: Any) -> str:
        found = [one for one in gc.get_objects() if type(one) is list and len(one) == 2 and one[1] is one]
        return "among the collector's objects" if any(secret.seen_in(str(one[0])) for one in found) else ""


class TraceFunction(Channel):
    """A profiling function, which sees every call of later requests."""

    name = "profile-function"

    def plant(self, secret: Secret) -> None:
        def spy(frame: Any, event: str, arg: Any) -> None:
            del frame, event, arg

        spy.__doc__ = secret.text
        sys.setprofile(spy)

    def look(self, secret: Secret, carried: Any) -> str:
        return "it is set" if secret.seen_in(getattr(sys.getprofile(), "__doc__", None)) else ""


class CodecHandler(Channel):
    """A codec's error handler."""

    name = "codec-error-handler"

    def plant(self, secret: Secret) -> None:
        codecs.register_error(f"audit-{secret.name}", lambda error: ("", error.end))  # type: ignore[attr-defined]

    def look(self, secret: Secret, carried: Any) -> str:
        try:
            codecs.lookup_error(f"audit-{secret.name}")
        except LookupError:
            return ""
        return "it is registered"


class LineCache(Channel):
    """The cache of source lines for tracebacks."""

    name = "line-cache"

    def plant(self, secret: Secret) -> None:
        linecache.cache[secret.name] = (LENGTH, None, [secret.text], secret.name)

    def look(self, secret: Secret, carried: Any) -> str:
        return "in the cache" if any(map(secret.seen_in, linecache.getlines(secret.name))) else ""


class PickleRegistry(Channel):
    """How a type is pickled."""

    name = "pickle-registry"

    def plant(self, secret: Secret) -> None:
        def reduce(value: Any) -> Any:
            return str, (str(value),)

        reduce.__doc__ = secret.text
        copyreg.pickle(types.SimpleNamespace, reduce)

    def look(self, secret: Secret, carried: Any) -> str:
        found = copyreg.dispatch_table.get(types.SimpleNamespace)
        return "in copyreg" if secret.seen_in(getattr(found, "__doc__", None)) else ""


class RecursionLimit(Channel):
    """The limit of recursion."""

    name = "recursion-limit"

    def plant(self, secret: Secret) -> None:
        sys.setrecursionlimit(int(secret.name[:3], 16) + 2000)

    def look(self, secret: Secret, carried: Any) -> str:
        found = sys.getrecursionlimit()
        return f"it is {found}" if found == int(secret.name[:3], 16) + 2000 else ""
