"""manifest.json: what a run was, enough to repeat it and to label every figure."""

from __future__ import annotations

import msgspec


class Stage(msgspec.Struct, frozen=True):
    """One stage of the run with its wall time."""

    name: str
    seconds: float


class TestbedFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The machine under test, as it said itself."""

    kind: str  # "vm", "local", "ssh"
    accelerator: str  # "kvm", "tcg", "none" (native), "unknown"
    kernel: str  # uname -r
    cpu: str
    cpus: int
    memory_bytes: int
    thp: str
    mitigations: str
    docker: str
    cgroup: int  # 1 or 2
    boot_id: str


class Manifest(msgspec.Struct, kw_only=True):
    """One run. `clock` names the clock of every latency: "wall" or "instructions"."""

    schema_version: int
    run: str
    profile_name: str
    profile: dict[str, object]
    seed: int
    clock: str
    git_revision: str
    git_dirty: bool
    builds: dict[str, str]  # step name -> content hash
    packages: dict[str, str]  # name -> version, of what took part
    testbed: TestbedFacts | None  # None until the testbed answered
    started: str  # ISO 8601, UTC
    ended: str  # "" while running
    stages: list[Stage]
    planned_cells: int
    failures: list[str]  # what failed outside of cells
    schemes: list[str] = []  # in figure order (scheme.toml); empty: by name
    workloads: list[str] = []  # likewise
