"""Where a container's control group is, in version 1 or 2, and what its files say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.hosts.base import Host

ROOT = "/sys/fs/cgroup"


@dataclass(frozen=True)
class MemoryGroup:
    """The memory control group of a container."""

    version: int
    folder: str


@dataclass(frozen=True)
class GroupMemory:
    """One reading; None where the kernel does not tell."""

    current_bytes: int | None
    peak_bytes: int | None
    anon_bytes: int | None
    file_bytes: int | None
    kernel_bytes: int | None


def memory_group(membership: str) -> MemoryGroup | None:
    """The memory group named by the text of /proc/PID/cgroup; None when there is none."""
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return MemoryGroup(1, f"{ROOT}/memory{path}")
        if controllers == "" and path != "/":
            return MemoryGroup(2, f"{ROOT}{path}")
    return None


def read_memory(host: Host, group: MemoryGroup) -> GroupMemory:
    """Read the group's files in one go."""
    names: tuple[str, ...]
    if group.version == 1:
        names = ("memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.kmem.usage_in_bytes")
    else:
        names = ("memory.current", "memory.peak")
    # head prints a "==> NAME <==" line before each file, and goes on past missing ones.
    argv = ["head", "-v", "-n", "200", *(f"{group.folder}/{n}" for n in (*names, "memory.stat"))]
    files = split_heads(host.run(argv, check=False).text)
    by_name = {path.rsplit("/", 1)[-1]: text for path, text in files.items()}
    stat = key_values(by_name.get("memory.stat", ""))
    numbers = {name: int(text) for name, text in by_name.items() if text.strip().isdigit()}
    if group.version == 1:
        return GroupMemory(
            current_bytes=numbers.get("memory.usage_in_bytes"),
            peak_bytes=numbers.get("memory.max_usage_in_bytes"),
            anon_bytes=stat.get("total_rss"),
            file_bytes=stat.get("total_cache"),
            kernel_bytes=numbers.get("memory.kmem.usage_in_bytes"),
        )
    return GroupMemory(
        current_bytes=numbers.get("memory.current"),
        peak_bytes=numbers.get("memory.peak"),
        anon_bytes=stat.get("anon"),
        file_bytes=stat.get("file"),
        kernel_bytes=stat.get("kernel"),
    )


def split_heads(text: str) -> Mapping[str, str]:
    """The files of a `head -v` output by path."""
    files: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("==> ") and line.endswith(" <=="):
            current = files.setdefault(line[4:-4], [])
        else:
            current.append(line)
    return {path: "\n".join(lines).strip() for path, lines in files.items()}


def key_values(text: str) -> dict[str, int]:
    """`key number` lines, as memory.stat has them."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
