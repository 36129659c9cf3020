"""Attributes of the process: what the kernel keeps of it besides memory and descriptors."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

from .base import Channel, Secret, checked, libc, refuse

PR_SET_PDEATHSIG, PR_GET_PDEATHSIG = 1, 2
PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4
PR_SET_NAME = 15
PR_GET_SECCOMP, PR_SET_SECCOMP = 21, 22
PR_CAPBSET_DROP = 24
PR_SET_TIMERSLACK, PR_GET_TIMERSLACK = 29, 30
PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER = 36, 37
PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 38, 39
PR_SET_THP_DISABLE, PR_GET_THP_DISABLE = 41, 42
SYS_IOPRIO_SET, SYS_IOPRIO_GET, SYS_ADD_KEY, SYS_SYSINFO = 251, 252, 248, 99
PERSONALITY_ASK, UNAME26 = 0xFFFF_FFFF, 0x20000
TIMER_S = 0.2
MARGIN_S = 0.2


def status(key: str) -> str:
    """A line of /proc/self/status."""
    return Path("/proc/self/status").read_text().split(f"{key}:")[1].split("\n")[0].strip()


class Attribute(Channel):
    """An attribute that has another value than before the first request."""

    def prepare(self) -> None:
        self.before = self.read()

    def look(self, secret: Secret, carried: Any) -> str:
        now = self.read()
        return "" if now == self.before else f"it is {now}, was {self.before}"

    def read(self) -> Any:
        """Its value."""
        raise NotImplementedError


class WorkingFolder(Attribute):
    """The working folder."""

    name, core = "working-folder", True

    def plant(self, secret: Secret) -> None:
        os.chdir("/")

    def read(self) -> Any:
        return os.getcwd()  # noqa: PTH109


class Root(Attribute):
    """The root folder (chroot)."""

    name, alone = "root-folder", True
    refused = {"nobody": "EPERM"}  # noqa: RUF012

    def plant(self, secret: Secret) -> None:
        os.chroot("/usr")

    def read(self) -> Any:
        return sorted(os.listdir("/"))  # noqa: PTH208


class FileMask(Attribute):
    """The mask of new files' rights."""

    name, core = "umask", True

    def plant(self, secret: Secret) -> None:
        os.umask(0o077)

    def read(self) -> Any:
        return status("Umask")


class SignalMask(Attribute):
    """Blocked signals."""

    name, core = "signal-mask", True

    def plant(self, secret: Secret) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN + 3])

    def read(self) -> Any:
        return status("SigBlk")


class IgnoredSignal(Attribute):
    """An ignored signal."""

    name, core = "ignored-signal", True

    def plant(self, secret: Secret) -> None:
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)

    def read(self) -> Any:
        return status("SigIgn")


class PendingSignal(Attribute):
    """A signal that is pending."""

    name, core = "pending-signal", True

    def plant(self, secret: Secret) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN + 4])
        os.kill(os.getpid(), signal.SIGRTMIN + 4)

    def read(self) -> Any:
        return status("ShdPnd"), status("SigPnd")


class Fires(Channel):
    """A timer that fires in a later request."""

    number = signal.SIGALRM

    def prepare(self) -> None:
        self.fired = 0
        signal.signal(self.number, self._count)

    def look(self, secret: Secret, carried: Any) -> str:
        end = time.monotonic() + TIMER_S + MARGIN_S
        while not self.fired and time.monotonic() < end:
            time.sleep(0.02)
        return f"signal {int(self.number)} of another request's timer" if self.fired else ""

    def _count(self, number: int, frame: Any) -> None:
        self.fired += 1


class IntervalTimer(Fires):
    """An interval timer that fires in a later request."""

    name, alone = "interval-timer", True

    def plant(self, secret: Secret) -> None:
        signal.setitimer(signal.ITIMER_REAL, TIMER_S, TIMER_S)


class PosixTimer(Fires):
    """A POSIX timer that fires in a later request."""

    name, alone = "posix-timer", True

    def plant(self, secret: Secret) -> None:
        timer = ctypes.c_void_p()
        checked(libc.timer_create(1, None, ctypes.byref(timer)))
        spec = (ctypes.c_long * 4)(0, int(TIMER_S * 1e9), 0, int(TIMER_S * 1e9))
        checked(libc.timer_settime(timer, 0, spec, None))


class Limit(Attribute):
    """A resource limit."""

    name, core = "resource-limit", True

    def plant(self, secret: Secret) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 7, hard))

    def read(self) -> Any:
        return resource.getrlimit(resource.RLIMIT_NOFILE)


class HardLimit(Attribute):
    """A hard resource limit, which cannot be raised again."""

    name = "hard-limit"

    def plant(self, secret: Secret) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_MSGQUEUE)
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (soft - 100, hard - 100))

    def read(self) -> Any:
        return resource.getrlimit(resource.RLIMIT_MSGQUEUE)


class Niceness(Attribute):
    """The niceness, which cannot be lowered again."""

    name = "nice"

    def plant(self, secret: Secret) -> None:
        os.nice(3)

    def read(self) -> Any:
        return os.getpriority(os.PRIO_PROCESS, 0)


class SchedulingPolicy(Attribute):
    """The scheduling policy."""

    name = "scheduling-policy"

    def plant(self, secret: Secret) -> None:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

    def read(self) -> Any:
        return os.sched_getscheduler(0)


class Affinity(Attribute):
    """The CPUs it may run on."""

    name = "cpu-affinity"
    refused = {"root": "EINVAL", "nobody": "EINVAL"}  # noqa: RUF012  a machine with one CPU

    def plant(self, secret: Secret) -> None:
        cpus = os.sched_getaffinity(0)
        if len(cpus) == 1:
            refuse(errno.EINVAL)
        os.sched_setaffinity(0, {min(cpus)})

    def read(self) -> Any:
        return sorted(os.sched_getaffinity(0))


class ProcessName(Attribute):
    """The process's name."""

    name, core = "process-name", True

    def plant(self, secret: Secret) -> None:
        checked(libc.prctl(PR_SET_NAME, secret.name.encode(), 0, 0, 0))

    def read(self) -> Any:
        return Path("/proc/self/comm").read_text().strip()


class Prctl(Channel):
    """An attribute that prctl reads and writes; a request's own may differ from the launcher's."""

    set_by, read_by, planted = 0, 0, 1
    #: The value is told through a pointer.
    told = False

    def plant(self, secret: Secret) -> None:
        if self._read() == self.planted:
            refuse(errno.EALREADY)
        checked(libc.prctl(self.set_by, self.planted, 0, 0, 0))

    def look(self, secret: Secret, carried: Any) -> str:
        return f"it is {self.planted}" if self._read() == self.planted else ""

    def _read(self) -> int:
        value = ctypes.c_int()
        if not self.told:
            return int(libc.prctl(self.read_by, 0, 0, 0, 0))
        checked(libc.prctl(self.read_by, ctypes.byref(value), 0, 0, 0))
        return value.value


class Dumpable(Prctl):
    """That the process cannot be read by others of its user."""

    name, alone = "dumpable", True
    set_by, read_by, planted = PR_SET_DUMPABLE, PR_GET_DUMPABLE, 0


class ParentDeathSignal(Prctl):
    """The signal at the parent's death."""

    name = "parent-death-signal"
    set_by, read_by, told, planted = PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, True, int(signal.SIGUSR2)


class Subreaper(Prctl):
    """That orphans become its children."""

    name = "subreaper"
    set_by, read_by, told = PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER, True


class TimerSlack(Prctl):
    """How late its timers may be."""

    name = "timer-slack"
    set_by, read_by, planted = PR_SET_TIMERSLACK, PR_GET_TIMERSLACK, 123_457


class HugePagesOff(Prctl):
    """That it has no huge pages."""

    name = "huge-pages-off"
    set_by, read_by = PR_SET_THP_DISABLE, PR_GET_THP_DISABLE


class NoNewPrivileges(Prctl):
    """That it can gain no privileges, for good."""

    name, alone = "no-new-privileges", True
    set_by, read_by = PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS
    refused = {"nobody": "EALREADY"}  # noqa: RUF012  it starts so


class SeccompFilter(Channel):
    """A system call filter, for good."""

    name, alone = "seccomp-filter", True

    def plant(self, secret: Secret) -> None:
        class Instruction(ctypes.Structure):
            _fields_ = (
                ("code", ctypes.c_ushort),
                ("jt", ctypes.c_ubyte),
                ("jf", ctypes.c_ubyte),
                ("k", ctypes.c_uint),
            )

        class Program(ctypes.Structure):
            _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.POINTER(Instruction)))

        code = (Instruction * 4)(
            Instruction(0x20, 0, 0, 0),  # load the number of the call
            Instruction(0x15, 0, 1, SYS_SYSINFO),
            Instruction(0x06, 0, 0, 0x0005_0000 | errno.EDOM),
            Instruction(0x06, 0, 0, 0x7FFF_0000),
        )
        checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        program = Program(4, code)
        checked(libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0))

    def look(self, secret: Secret, carried: Any) -> str:
        room = ctypes.create_string_buffer(512)
        ctypes.set_errno(0)
        failed = libc.syscall(SYS_SYSINFO, room) == -1 and ctypes.get_errno() == errno.EDOM
        return "a call is denied" if failed else ""


class Personality(Attribute):
    """The execution domain (personality)."""

    name = "personality"

    def plant(self, secret: Secret) -> None:
        checked(libc.personality(UNAME26))

    def read(self) -> Any:
        return libc.personality(PERSONALITY_ASK)


class Group(Attribute):
    """Group identity."""

    name, alone = "group", True
    refused = {"nobody": "EPERM"}  # noqa: RUF012

    def plant(self, secret: Secret) -> None:
        os.setegid(65534 if os.getegid() == 0 else 0)

    def read(self) -> Any:
        return os.getresgid()


class Groups(Attribute):
    """Supplementary groups."""

    name, alone = "groups", True
    refused = {"nobody": "EPERM"}  # noqa: RUF012

    def plant(self, secret: Secret) -> None:
        os.setgroups([4321])

    def read(self) -> Any:
        return sorted(os.getgroups())


class User(Attribute):
    """User identity."""

    name, alone = "user", True
    refused = {"nobody": "EPERM"}  # noqa: RUF012

    def plant(self, secret: Secret) -> None:
        os.seteuid(65534 if os.geteuid() == 0 else 0)

    def read(self) -> Any:
        return os.getresuid()


class Capabilities(Attribute):
    """A capability given up, for good."""

    name, alone = "capability-bound", True
    refused = {"nobody": "EPERM"}  # noqa: RUF012

    def plant(self, secret: Secret) -> None:
        checked(libc.prctl(PR_CAPBSET_DROP, 27, 0, 0, 0))  # CAP_MKNOD

    def read(self) -> Any:
        return status("CapBnd")


class OutOfMemoryScore(Attribute):
    """How soon it is killed when memory runs out."""

    name = "oom-score"

    def plant(self, secret: Secret) -> None:
        Path("/proc/self/oom_score_adj").write_text("321")

    def read(self) -> Any:
        return Path("/proc/self/oom_score_adj").read_text().strip()


class IoPriority(Attribute):
    """The input and output priority."""

    name = "io-priority"

    def plant(self, secret: Secret) -> None:
        checked(libc.syscall(SYS_IOPRIO_SET, 1, 0, 2 << 13 | 7))

    def read(self) -> Any:
        return libc.syscall(SYS_IOPRIO_GET, 1, 0)


class CoreFilter(Attribute):
    """What a core dump would hold."""

    name = "core-filter"

    def plant(self, secret: Secret) -> None:
        Path("/proc/self/coredump_filter").write_text("0x7f")

    def read(self) -> Any:
        return Path("/proc/self/coredump_filter").read_text().strip()


class Keyring(Channel):
    """A key in the session's keyring."""

    name = "keyring"
    refused = {"root": "EPERM", "nobody": "EPERM"}  # noqa: RUF012  the system call filter

    def plant(self, secret: Secret) -> None:
        size = len(secret.plain)
        checked(libc.syscall(SYS_ADD_KEY, b"user", secret.name.encode(), secret.plain, size, -3))

    def look(self, secret: Secret, carried: Any) -> str:
        keys = Path("/proc/keys")
        return "in the keyring" if keys.exists() and secret.name in keys.read_text() else ""


class SessionId(Attribute):
    """The session and process group."""

    name, alone = "process-group", True
    refused = {"root": "EPERM", "nobody": "EPERM"}  # noqa: RUF012  where it leads its session already

    def plant(self, secret: Secret) -> None:
        os.setpgid(0, 0) if os.getpgid(0) != os.getpid() else refuse(errno.EPERM)

    def read(self) -> Any:
        return os.getsid(0), os.getpgid(0)
