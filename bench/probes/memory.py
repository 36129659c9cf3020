"""Memory of a container and of the whole testbed.

Headline figures are PSS (shared pages are divided among their users) and the testbed's
MemAvailable (the only one that also sees what the kernel holds for a container); RSS counts
shared pages once per process and is kept beside them because the paper uses it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.errors import CommandError
from bench.hosts.base import Host
from bench.probes.cgroup import GroupMemory, memory_group, read_memory, split_heads

NO_GROUP = GroupMemory(None, None, None, None, None)


@dataclass(frozen=True)
class ContainerMemory:
    """One reading of one container; None where the testbed does not let us look."""

    pss_bytes: int | None
    private_bytes: int | None
    rss_bytes: int | None
    group: GroupMemory


def container_memory(host: Host, container_id: str) -> ContainerMemory:
    """Sum over the container's processes, and its control group."""
    top = host.docker().containers.get(container_id).top(ps_args="-eo pid,comm")
    pids = [row[0] for row in top["Processes"] or []]
    rollups = _rollups(host, pids)
    try:
        group = memory_group(host.get(f"/proc/{pids[0]}/cgroup").decode()) if pids else None
    except (CommandError, OSError):
        group = None  # a daemon on another machine than this Host's files
    return ContainerMemory(
        pss_bytes=_total(rollups, ("Pss",)),
        private_bytes=_total(rollups, ("Private_Clean", "Private_Dirty", "Private_Hugetlb")),
        rss_bytes=_total(rollups, ("Rss",)),
        group=read_memory(host, group) if group is not None else NO_GROUP,
    )


def available_bytes(host: Host) -> int:
    """The testbed's MemAvailable, after dirty pages were written out."""
    host.run(["sync"], check=False)
    return rollup(host.get("/proc/meminfo").decode())["MemAvailable"]


def rollup(text: str) -> dict[str, int]:
    """`Key: N kB` lines as bytes."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "kB" and words[0].endswith(":"):
            found[words[0][:-1]] = int(words[1]) * 1024
    return found


def _rollups(host: Host, pids: list[str]) -> list[dict[str, int]] | None:
    argv = ["head", "-v", "-n", "100", *(f"/proc/{pid}/smaps_rollup" for pid in pids)]
    read = [rollup(text) for text in split_heads(host.run(argv, check=False).text).values()]
    # A process that ended since is no loss; one that we may not look into is.
    return read if pids and len(read) == len(pids) and all(read) else None


def _total(rollups: list[dict[str, int]] | None, keys: tuple[str, ...]) -> int | None:
    if rollups is None:
        return None
    return sum(values.get(key, 0) for values in rollups for key in keys)
