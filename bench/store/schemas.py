"""The tables of a run: one row per observation, units in the column names, no aggregation.

A run folder:

    manifest.json                      see Manifest in bench.store.manifest
    cells/EXPERIMENT/SCHEME/WORKLOAD/PARAMS/rN/
        cell.json                      one CELL record (written last: its presence is "finished")
        requests.parquet               rows of REQUESTS   (those that the experiment records)
        activations.parquet            rows of ACTIVATIONS
        restores.parquet               rows of RESTORES
        memory.parquet                 rows of MEMORY
        oracle.parquet                 rows of ORACLE
        audit.parquet                  rows of AUDIT
    failed/...                         the same for cells that failed, with cell.json's error
    figures/, report.html              made by analysis, can be made again at any time
    logs/
"""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = 1

_CELL_KEY = [
    pa.field("experiment", pa.string(), nullable=False),
    pa.field("scheme", pa.string(), nullable=False),
    pa.field("workload", pa.string(), nullable=False),  # "mix" for the paper's request mix
    pa.field("params", pa.string(), nullable=False),  # canonical JSON, e.g. {"pool_mb":1024}
    pa.field("repetition", pa.int32(), nullable=False),
]

REQUESTS = pa.schema(
    [
        *_CELL_KEY,
        pa.field("index", pa.int64(), nullable=False),  # position in the schedule
        pa.field("action", pa.string(), nullable=False),  # the workload's name, also in a mix
        pa.field("warmup", pa.bool_(), nullable=False),
        # nanoseconds since the load began, on the load generator's monotonic clock
        pa.field("intended_ns", pa.int64(), nullable=False),
        pa.field("actual_ns", pa.int64()),  # null: dropped, never sent
        pa.field("end_ns", pa.int64()),
        pa.field("status", pa.int32()),  # HTTP status; null: no answer
        pa.field("ok", pa.bool_(), nullable=False),  # 200 and the result was the right one
        pa.field("error", pa.string(), nullable=False),  # "" when ok
        pa.field("activation_id", pa.string(), nullable=False),  # "" when none
    ]
)

ACTIVATIONS = pa.schema(
    [
        *_CELL_KEY,
        pa.field("activation_id", pa.string(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
        pa.field("warmup", pa.bool_(), nullable=False),
        pa.field("container_id", pa.string(), nullable=False),
        pa.field("cold", pa.bool_(), nullable=False),
        # on the testbed's clock
        pa.field("wait_ns", pa.int64(), nullable=False),  # receipt to start of init or run
        pa.field("init_ns", pa.int64(), nullable=False),  # 0 when warm
        pa.field("run_ns", pa.int64(), nullable=False),  # the /run call alone
        # reply to the container being ready for the next; null where the platform cannot tell
        pa.field("busy_after_ns", pa.int64()),
        pa.field("success", pa.bool_(), nullable=False),
    ]
)

#: A restore as the launcher told of it, where the scheme tells: the kernel's times and counters of
#: /proc/PID/rewind and the file reset service's; null where there is none.
RESTORES = pa.schema(
    [
        *_CELL_KEY,
        pa.field("activation_id", pa.string(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
        pa.field("warmup", pa.bool_(), nullable=False),
        pa.field("container_id", pa.string(), nullable=False),
        pa.field("generation", pa.int64()),  # rewinds to this checkpoint
        pa.field("checkpoint_ns", pa.int64()),
        pa.field("file_checkpoint_ns", pa.int64()),  # the file reset service's own time
        pa.field("rewind_ns", pa.int64()),  # the whole call; the next six are its parts
        pa.field("rendezvous_ns", pa.int64()),  # bringing threads together
        pa.field("vma_ns", pa.int64()),  # the layout of the address space
        pa.field("pages_ns", pa.int64()),
        pa.field("regions_ns", pa.int64()),  # blank pages for mappings that come again
        pa.field("files_ns", pa.int64()),  # descriptors, signals, timers, registers
        pa.field("flush_ns", pa.int64()),  # TLB flush, freeing of pages
        pa.field("file_reset_ns", pa.int64()),  # the file reset service's own time
        pa.field("file_entries", pa.int64()),  # that it put back
        pa.field("armed", pa.int64()),
        pa.field("logged", pa.int64()),
        pa.field("copied", pa.int64()),
        pa.field("skipped", pa.int64()),
        pa.field("zeroed", pa.int64()),
        pa.field("dropped", pa.int64()),
        pa.field("recreated", pa.int64()),
        pa.field("rearmed", pa.int64()),
        pa.field("unmapped", pa.int64()),
        pa.field("remapped", pa.int64()),
        pa.field("faults_write", pa.int64()),
        pa.field("faults_born", pa.int64()),
        pa.field("reused", pa.int64()),  # blank pages that the request took
        pa.field("blank", pa.int64()),  # that are ready for the next one
        pa.field("log_bytes", pa.int64()),
    ]
)

MEMORY = pa.schema(
    [
        *_CELL_KEY,
        pa.field("containers", pa.int32(), nullable=False),  # alive when the sample was taken
        pa.field("container_id", pa.string(), nullable=False),  # "" for a guest-wide sample
        pa.field("requests", pa.int64(), nullable=False),  # served by that container before
        # sums over the container's processes; null in a guest-wide sample
        pa.field("pss_bytes", pa.int64()),
        pa.field("private_bytes", pa.int64()),
        pa.field("rss_bytes", pa.int64()),
        pa.field("cgroup_current_bytes", pa.int64()),
        pa.field("cgroup_peak_bytes", pa.int64()),
        pa.field("cgroup_anon_bytes", pa.int64()),
        pa.field("cgroup_file_bytes", pa.int64()),
        pa.field("cgroup_kernel_bytes", pa.int64()),
        # guest-wide; null in a container sample
        pa.field("available_bytes", pa.int64()),
    ]
)

ORACLE = pa.schema(
    [
        *_CELL_KEY,
        pa.field("index", pa.int64(), nullable=False),  # order of the requests
        pa.field("container_id", pa.string(), nullable=False),
        pa.field("wrong", pa.string(), nullable=False),  # "": the right result
        pa.field("altered", pa.string(), nullable=False),  # aspects found altered, with commas
    ]
)

AUDIT = pa.schema(
    [
        *_CELL_KEY,
        pa.field("family", pa.string(), nullable=False),
        pa.field("channel", pa.string(), nullable=False),
        pa.field("summary", pa.string(), nullable=False),  # the channel in words
        pa.field("launcher_user", pa.string(), nullable=False),
        # what the scheme says of this channel: "isolated", "left" (openly not), "none" (the control)
        pa.field("claim", pa.string(), nullable=False),
        pa.field("step", pa.int32(), nullable=False),  # order of a channel's requests, 0 is the plant
        pa.field("kind", pa.string(), nullable=False),  # "plant", "look", "filler"
        pa.field("further", pa.int32()),  # requests between plant and look; null for the others
        pa.field("found", pa.string(), nullable=False),  # evidence of a leak, "" when there is none
        pa.field("refused", pa.string(), nullable=False),  # errno that stopped the planting
        pa.field("expected_refusal", pa.string(), nullable=False),  # errno that the channel allows
        pa.field("failed", pa.string(), nullable=False),  # why the request had no result, "" when it had
        pa.field("container_id", pa.string(), nullable=False),
        pa.field("retired", pa.string(), nullable=False),  # why the container was not used again
    ]
)

#: cell.json, and with one row per cell the frame `cells`.
CELLS = pa.schema(
    [
        *_CELL_KEY,
        pa.field("status", pa.string(), nullable=False),  # "ok", "failed"
        pa.field("error", pa.string(), nullable=False),  # "" when ok
        pa.field("hint", pa.string(), nullable=False),
        pa.field("boot_id", pa.string(), nullable=False),  # of the testbed
        pa.field("started_s", pa.float64(), nullable=False),  # Unix time on the harness's clock
        pa.field("ended_s", pa.float64(), nullable=False),
        pa.field("requests", pa.int64(), nullable=False),  # scheduled, warm-up included
        pa.field("late", pa.int64(), nullable=False),  # sent over 5 ms after the intended time
        pa.field("dropped", pa.int64(), nullable=False),  # never sent
        pa.field("wrong", pa.int64(), nullable=False),  # answered with a wrong result
        pa.field("platform_cpu_share", pa.float64()),  # of the testbed's CPUs, while under load
    ]
)

TABLES: dict[str, pa.Schema] = {
    "requests": REQUESTS,
    "activations": ACTIVATIONS,
    "restores": RESTORES,
    "memory": MEMORY,
    "oracle": ORACLE,
    "audit": AUDIT,
}
