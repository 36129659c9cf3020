"""What the machine under test says of itself."""

from __future__ import annotations

import re

from bench.errors import BenchError
from bench.hosts.base import Host
from bench.probes.memory import rollup
from bench.store.manifest import TestbedFacts


def read_facts(host: Host, kind: str) -> TestbedFacts:
    """Read everything that a figure's label or a later reader needs."""
    cpuinfo = _file(host, "/proc/cpuinfo")
    info = host.docker().info()
    model = re.search(r"^model name\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    vulnerabilities = "/sys/devices/system/cpu/vulnerabilities"
    mitigations = host.run(["grep", "-r", "", vulnerabilities], check=False).text
    return TestbedFacts(
        kind=kind,
        accelerator=host.accelerator,
        kernel=host.run(["uname", "-r"]).text,
        cpu=model.group(1) if model else "unknown",
        cpus=len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE)),
        memory_bytes=rollup(_file(host, "/proc/meminfo")).get("MemTotal", 0),
        thp=_chosen(_file(host, "/sys/kernel/mm/transparent_hugepage/enabled")),
        mitigations="; ".join(line.removeprefix(f"{vulnerabilities}/") for line in mitigations.splitlines()),
        docker=str(info.get("ServerVersion", "unknown")),
        cgroup=int(info.get("CgroupVersion") or 1),
        boot_id=_file(host, "/proc/sys/kernel/random/boot_id").strip(),
    )


def _file(host: Host, path: str) -> str:
    try:
        return host.get(path).decode(errors="replace")
    except (BenchError, OSError):
        return ""


def _chosen(text: str) -> str:
    match = re.search(r"\[(\w+)\]", text)
    return match.group(1) if match else "unknown"
