"""The one exception tree; every error carries a hint and an exit status.

BenchError
├── UserError                 something the person at the keyboard can mend
│   ├── ConfigError           10  profile, scheme or workload file is wrong (all problems at once)
│   ├── MissingToolError      11  a program or package is not installed
│   ├── PortInUseError        12  a port that we must listen on is taken
│   ├── AccessError           13  a device or file may not be opened
│   └── DiskFullError         14  no space left
├── InfrastructureError
│   ├── BuildError            20  a build step failed
│   ├── BootError             21  the guest did not come up
│   ├── HostLostError         22  SSH to the testbed failed or was lost
│   ├── DockerError           23  the testbed's Docker refused or is not there
│   ├── PlatformError         24  the serverless platform failed
│   ├── CommandError          25  a command failed or ran out of time
│   └── LoadError             26  the load generator failed
├── KernelError
│   ├── KernelPanicError      30  the guest's kernel panicked or oopsed
│   └── KernelMismatchError   31  the testbed runs another kernel than the one asked for
├── WorkloadError
│   ├── WrongResultError      40  an action answered, but not what it must
│   └── ActionError           41  an action failed, or its container did not start
├── RunIncompleteError        50  the run ended, some cells failed or are missing
└── IsolationError            60  a scheme leaks what it does not own up to, or a probe is broken
"""

from __future__ import annotations

from collections.abc import Sequence


class BenchError(Exception):
    """Base of all errors that a person should see as one clear message.

    `hint` says what to do next.
    """

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UserError(BenchError):
    """Something the person at the keyboard can mend."""

    exit_status = 2


class ConfigError(UserError):
    """One or more faults in profile, scheme or workload files; `problems` holds a line for each."""

    exit_status = 10

    def __init__(self, problems: Sequence[str], *, hint: str = "") -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "configuration is not valid" if count == 1 else f"{count} configuration problems"
        super().__init__("\n  ".join([head + ":", *self.problems]), hint=hint)


class MissingToolError(UserError):
    """A program or package that we need is not installed."""

    exit_status = 11


class PortInUseError(UserError):
    """A port that we must listen on is taken."""

    exit_status = 12


class AccessError(UserError):
    """A device or file may not be opened."""

    exit_status = 13


class DiskFullError(UserError):
    """No space left on the device that we write to."""

    exit_status = 14


class InfrastructureError(BenchError):
    """The machinery around a measurement failed, not what is measured."""

    exit_status = 20


class BuildError(InfrastructureError):
    """A build step failed; nothing half-made was kept."""

    exit_status = 20


class BootError(InfrastructureError):
    """The guest did not come up."""

    exit_status = 21


class HostLostError(InfrastructureError):
    """The connection to the testbed failed or was lost."""

    exit_status = 22


class DockerError(InfrastructureError):
    """The testbed's Docker daemon refused, or is not there."""

    exit_status = 23


class PlatformError(InfrastructureError):
    """The serverless platform failed."""

    exit_status = 24


class CommandError(InfrastructureError):
    """A command failed or ran out of time."""

    exit_status = 25


class LoadError(InfrastructureError):
    """The load generator failed."""

    exit_status = 26


class KernelError(BenchError):
    """The kernel under test misbehaved."""

    exit_status = 30


class KernelPanicError(KernelError):
    """The guest's kernel panicked or oopsed."""

    exit_status = 30


class KernelMismatchError(KernelError):
    """The testbed runs another kernel than the one asked for."""

    exit_status = 31


class WorkloadError(BenchError):
    """An action did not do its work."""

    exit_status = 40


class WrongResultError(WorkloadError):
    """An action answered, but not what it must."""

    exit_status = 40


class ActionError(WorkloadError):
    """An action failed, or its container did not start."""

    exit_status = 41


class RunIncompleteError(BenchError):
    """The run ended, but some cells failed or are missing."""

    exit_status = 50


class IsolationError(BenchError):
    """The audit found an undeclared leak, or a probe that proves nothing."""

    exit_status = 60
