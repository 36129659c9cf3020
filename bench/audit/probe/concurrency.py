"""What goes on running: threads and processes of a request that has been answered."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from . import addresses as at
from .base import Channel, Secret, checked, errno_name, libc
from .process import PR_SET_NAME, status

PTRACE_SEIZE = 0x4206
LIFE_S = 300.0


def named(secret: Secret, of: str = "/proc") -> str:
    """A process or thread that is called by the secret's name."""
    for folder in Path(of).iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "comm").read_text(), (folder / "cmdline").read_text()
            except OSError:  # just gone
                continue
            if any(secret.name in text for text in words):
                return f"process {folder.name} is {words[0].strip()}"
    return ""


def call_self(name: str) -> None:
    """Give the calling thread a name."""
    checked(libc.prctl(PR_SET_NAME, name.encode(), 0, 0, 0))


def live_on(name: str) -> NoReturn:
    """What a left process does."""
    call_self(name)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(LIFE_S)
    os._exit(0)


class Thread(Channel):
    """A thread that runs on."""

    name, core = "thread", True

    def plant(self, secret: Secret) -> None:
        started = threading.Event()

        def run() -> None:
            call_self(secret.name)
            started.set()
            time.sleep(LIFE_S)

        threading.Thread(target=run, daemon=True).start()
        started.wait()

    def look(self, secret: Secret, carried: Any) -> str:
        return named(secret, "/proc/self/task").replace("process", "thread")


class TimerThread(Channel):
    """A timer's thread that acts in a later request."""

    name, alone = "timer-thread", True

    def prepare(self) -> None:
        self.acted: list[str] = []

    def plant(self, secret: Secret) -> None:
        timer = threading.Timer(0.2, self.acted.append, [secret.text])
        timer.daemon = True
        timer.start()

    def look(self, secret: Secret, carried: Any) -> str:
        end = time.monotonic() + 0.4
        while not self.acted and time.monotonic() < end:
            time.sleep(0.02)
        return "it acted" if any(map(secret.seen_in, self.acted)) else ""


class Child(Channel):
    """A child process that runs on."""

    name, core = "child-process", True

    def plant(self, secret: Secret) -> None:
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, b".")
            live_on(secret.name)
        os.read(read, 1)
        os.close(read)
        os.close(write)

    def look(self, secret: Secret, carried: Any) -> str:
        return named(secret)


class Daemon(Channel):
    """A grandchild in a session of its own, orphaned (a daemon)."""

    name, core = "daemon", True

    def plant(self, secret: Secret) -> None:
        child = os.fork()
        if child == 0:
            os.setsid()
            if os.fork() == 0:
                os.closerange(0, 3)
                live_on(secret.name)
            os._exit(0)
        os.waitpid(child, 0)

    def look(self, secret: Secret, carried: Any) -> str:
        return named(secret)


class Renamed(Channel):
    """A process that runs another program under another name."""

    name = "renamed-process"

    def plant(self, secret: Secret) -> None:
        if os.fork() == 0:
            os.setsid()
            os.execv(sys.executable, [secret.name, "-c", f"import time; time.sleep({LIFE_S})"])

    def look(self, secret: Secret, carried: Any) -> str:
        return named(secret)


class Stopped(Channel):
    """A stopped child process."""

    name = "stopped-process"

    def plant(self, secret: Secret) -> None:
        child = os.fork()
        if child == 0:
            call_self(secret.name)
            os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(0)
        os.waitpid(child, os.WUNTRACED)

    def look(self, secret: Secret, carried: Any) -> str:
        return named(secret)


class Zombies(Channel):
    """Fifty children that have ended and are not waited for."""

    name = "zombies"

    def plant(self, secret: Secret) -> None:
        for _ in range(50):
            child = os.fork()
            if child == 0:
                call_self(secret.name)
                os._exit(0)
            os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)

    def look(self, secret: Secret, carried: Any) -> str:
        return named(secret)


class PipeHolder(Channel):
    """A left process that goes on reading what later requests are sent on standard input."""

    name, alone = "input-thief", True

    def plant(self, secret: Secret) -> None:
        child = os.fork()
        if child == 0:
            os.setsid()
            if os.fork() == 0:
                call_self(secret.name)
                time.sleep(LIFE_S)  # holds descriptor 0; reading would starve the launcher
            os._exit(0)
        os.waitpid(child, 0)

    def look(self, secret: Secret, carried: Any) -> str:
        found = named(secret)
        return f"{found} and can read standard input" if found else ""


class Tracer(Channel):
    """A child process that traces the launcher."""

    name, alone = "tracer", True

    def plant(self, secret: Secret) -> None:
        launcher = os.getpid()
        read, write = os.pipe()
        if os.fork() == 0:
            libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
            number = 0 if libc.ptrace(PTRACE_SEIZE, launcher, None, None) == 0 else ctypes.get_errno()
            os.write(write, bytes([number]))
            time.sleep(LIFE_S)
            os._exit(0)
        number = os.read(read, 1)[0]
        os.close(read)
        os.close(write)
        if number:
            raise OSError(number, f"ptrace: {errno_name(number)}")

    def look(self, secret: Secret, carried: Any) -> str:
        tracer = int(status("TracerPid"))
        comm = Path(f"/proc/{tracer}/comm") if tracer else None
        mine = comm is not None and comm.exists() and comm.read_text() == Path("/proc/self/comm").read_text()
        return f"process {tracer} traces this one" if mine else ""


class ProxyMemory(Channel):
    """The memory of the action proxy, through which every request goes."""

    name, core, alone, in_request = "proxy-memory", True, True, True
    refused = {"root": "EACCES", "nobody": "EACCES"}  # noqa: RUF012  our proxy; Apache's lets root

    def plant(self, secret: Secret) -> None:
        with open("/proc/1/mem", "rb"):
            pass

    def look(self, secret: Secret, carried: Any) -> str:
        try:
            memory = open("/proc/1/mem", "rb", buffering=0)
        except OSError:
            return ""
        with memory:
            for line in Path("/proc/1/maps").read_text().splitlines():
                area, rights = line.split()[:2]
                start, end = (int(number, 16) for number in area.split("-"))
                if rights.startswith("rw") and self._has(memory.fileno(), start, end, secret):
                    return f"in the proxy's memory at {start:#x}"
        return ""

    def _has(self, number: int, start: int, end: int, secret: Secret) -> bool:
        for place in range(start, end, at.CHUNK):
            try:
                data = os.pread(number, min(at.CHUNK + 64, end - place), place)
            except (OSError, OverflowError):
                return False
            if secret.seen_in(data):
                return True
        return False
