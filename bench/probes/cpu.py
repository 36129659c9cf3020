"""The platform's own share of the testbed's CPUs: above a fifth, a load cell proves nothing."""

from __future__ import annotations

from dataclasses import dataclass

from bench.errors import CommandError
from bench.hosts.base import Host


@dataclass(frozen=True)
class CpuReading:
    """Ticks of one process and of the whole machine, since boot."""

    process: int
    machine: int


def read(host: Host, pid: int) -> CpuReading | None:
    """None when the process is gone, or runs where this Host cannot look."""
    try:
        own = host.get(f"/proc/{pid}/stat").decode()
        machine = host.get("/proc/stat").decode()
    except (CommandError, OSError):
        return None
    return parse(own, machine)


def parse(own: str, machine: str) -> CpuReading:
    """From the texts of /proc/PID/stat and /proc/stat."""
    # The command's name may hold spaces and brackets: count fields from the last bracket.
    fields = own.rsplit(")", 1)[1].split()
    used = sum(int(f) for f in fields[11:15])  # utime, stime, and those of reaped children
    # user nice system idle iowait irq softirq steal; guest time is part of user time
    total = sum(int(f) for f in machine.splitlines()[0].split()[1:9])
    return CpuReading(used, total)


def share(before: CpuReading | None, after: CpuReading | None) -> float | None:
    """Of the CPU time that the machine had between two readings, the part that the process used."""
    if before is None or after is None or after.machine <= before.machine:
        return None
    return (after.process - before.process) / (after.machine - before.machine)
