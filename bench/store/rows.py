"""The records of a run as typed rows, one struct per table of `bench.store.schemas`.

A row carries no cell key: the store adds it.
"""

from __future__ import annotations

import msgspec

from bench.store.keys import CellKey


class RequestRow(msgspec.Struct, frozen=True, kw_only=True):
    """One scheduled request, sent or not; times since the load began."""

    index: int
    action: str
    warmup: bool
    intended_ns: int
    actual_ns: int | None
    end_ns: int | None
    status: int | None
    ok: bool
    error: str = ""
    activation_id: str = ""


class ActivationRow(msgspec.Struct, frozen=True, kw_only=True):
    """One activation, as the platform on the testbed recorded it."""

    activation_id: str
    action: str
    warmup: bool
    container_id: str
    cold: bool
    wait_ns: int
    init_ns: int
    run_ns: int
    busy_after_ns: int | None = None
    success: bool = True


class RestoreRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a launcher told of one restore; see RESTORES."""

    activation_id: str
    action: str
    warmup: bool
    container_id: str
    generation: int | None = None
    checkpoint_ns: int | None = None
    file_checkpoint_ns: int | None = None
    rewind_ns: int | None = None
    rendezvous_ns: int | None = None
    vma_ns: int | None = None
    pages_ns: int | None = None
    regions_ns: int | None = None
    files_ns: int | None = None
    flush_ns: int | None = None
    file_reset_ns: int | None = None
    file_entries: int | None = None
    armed: int | None = None
    logged: int | None = None
    copied: int | None = None
    skipped: int | None = None
    zeroed: int | None = None
    dropped: int | None = None
    recreated: int | None = None
    rearmed: int | None = None
    unmapped: int | None = None
    remapped: int | None = None
    faults_write: int | None = None
    faults_born: int | None = None
    reused: int | None = None
    blank: int | None = None
    log_bytes: int | None = None


class MemoryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One memory sample: of a container, or (container_id "") of the whole guest."""

    containers: int
    container_id: str = ""
    requests: int = 0
    pss_bytes: int | None = None
    private_bytes: int | None = None
    rss_bytes: int | None = None
    cgroup_current_bytes: int | None = None
    cgroup_peak_bytes: int | None = None
    cgroup_anon_bytes: int | None = None
    cgroup_file_bytes: int | None = None
    cgroup_kernel_bytes: int | None = None
    available_bytes: int | None = None


class OracleRow(msgspec.Struct, frozen=True, kw_only=True):
    """One request of the oracle; `wrong` is "" for the right result, `altered` a list with commas."""

    index: int
    container_id: str
    wrong: str
    altered: str


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One request of the audit: a plant, a look, or one between."""

    family: str
    channel: str
    summary: str
    launcher_user: str
    claim: str
    step: int
    kind: str
    further: int | None = None
    found: str = ""
    refused: str = ""
    expected_refusal: str = ""
    failed: str = ""
    container_id: str = ""
    retired: str = ""


Row = RequestRow | ActivationRow | RestoreRow | MemoryRow | OracleRow | AuditRow


class CellRecord(msgspec.Struct, frozen=True, kw_only=True):
    """cell.json: how one cell went. A status of "failed" sends it to failed/."""

    experiment: str
    scheme: str
    workload: str
    params: str
    repetition: int
    status: str = "ok"
    error: str = ""
    hint: str = ""
    boot_id: str = ""
    started_s: float
    ended_s: float
    requests: int = 0
    late: int = 0
    dropped: int = 0
    wrong: int = 0
    platform_cpu_share: float | None = None

    @classmethod
    def of(cls, key: CellKey, *, started_s: float, ended_s: float, **facts: object) -> CellRecord:
        """A record for a key; `facts` are the other fields by name."""
        fields = {
            "experiment": key.experiment,
            "scheme": key.scheme,
            "workload": key.workload,
            "params": key.params,
            "repetition": key.repetition,
            "started_s": started_s,
            "ended_s": ended_s,
        }
        return msgspec.convert({**fields, **facts}, cls)

    @property
    def key(self) -> CellKey:
        """The cell's name."""
        return CellKey(self.experiment, self.scheme, self.workload, self.params, self.repetition)
