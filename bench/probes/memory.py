"""Memory of a container and of the whole testbed.

Headline figures are PSS (shared pages are divided among their users) and what the testbed has
available (the only one that also sees what the kernel holds for a container); RSS counts
shared pages once per process and is kept beside them because the paper uses it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.errors import CommandError
from bench.hosts.base import Host
from bench.probes.cgroup import GroupMemory, memory_group, read_memory, split_heads

PAGE_BYTES = 4096
#: A processor's own list of free pages, in /proc/zoneinfo.
_OWN_LIST = re.compile(r"^\s*count:\s*(\d+)$", re.MULTILINE)
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
    """The testbed's MemAvailable and the free pages that processors keep lists of, dirty pages written out.

    A process that ends leaves up to tens of megabytes on those lists, which MemAvailable takes for used.
    """
    # The second folds in what each processor has counted; it wants root and changes nothing.
    host.run(["sh", "-c", "sync; cat /proc/sys/vm/stat_refresh"], check=False)
    available = rollup(host.get("/proc/meminfo").decode())["MemAvailable"]
    return available + own_lists_bytes(host.get("/proc/zoneinfo").decode())


def own_lists_bytes(zoneinfo: str) -> int:
    """Free pages on the processors' own lists, in bytes."""
    return sum(int(count) for count in _OWN_LIST.findall(zoneinfo)) * PAGE_BYTES


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
