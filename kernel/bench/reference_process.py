"""The reference process: CPython with numpy, one BLAS thread, a stated size; it measures itself.

Run in a bare initramfs by bench/kernel/cost.py; prints one JSON object per line. Each series takes a
checkpoint and then makes the same request some generations long; what is kept across rewinds lives in
a file, the notebook, because the process itself forgets.

    reference_process.py AXIS GENERATIONS CHECKPOINT_FLAGS REWIND_FLAGS

An axis starts from the reference size and changes one thing; every process measures one axis.
"""

# ruff: noqa: INP001, PTH123, PTH208, S108  (a program of its own, alone in a guest; pathlib costs pages)
from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import mmap
import os
import re
import struct
import sys
import time
from typing import Any

import numpy as np

PAGE = 4096
#: Pages of the array that requests write to.
ARRAY_PAGES = 10000
MAX_GENERATIONS = 16
#: Slots of the notebook: 0..2 belong to clockwork.c, then one rewind and one request per generation.
REWIND_SLOT, REQUEST_SLOT = 16, 48
#: Where the notebook has the kernel's counters, in bytes.
COUNTERS_OFFSET = PAGE
NO_REUSE, NO_REGION_REUSE, FULL_WALK = 1 << 2, 1 << 3, 1 << 4

library = ctypes.CDLL("/bench/clockwork.so")
for name in ("cw_checkpoint", "cw_rewind", "cw_overhead_ns", "cw_store", "cw_copy", "cw_fork_cycle"):
    getattr(library, name).restype = ctypes.c_long
library.cw_counters.argtypes = (ctypes.c_int, ctypes.c_long)
library.cw_store.argtypes = (ctypes.c_void_p, ctypes.c_long, ctypes.c_long, ctypes.c_long)
library.cw_copy.argtypes = (ctypes.c_void_p, ctypes.c_long)
library.cw_fork_cycle.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_long)
notebook = os.open("/tmp/notebook", os.O_RDWR | os.O_CREAT, 0o600)
array = np.ones(ARRAY_PAGES * PAGE // 8)
base = array.ctypes.data + (-array.ctypes.data % PAGE)
document = json.dumps([{"id": i, "name": f"user{i}", "tags": ["a", "b"], "v": i * 1.5} for i in range(200)])
kept: list[Any] = []


def put(slot: int, value: int) -> None:
    """Write to the notebook."""
    os.pwrite(notebook, struct.pack("q", value), 8 * slot)


def get(slot: int) -> int:
    """Read from the notebook."""
    return int(struct.unpack("q", os.pread(notebook, 8, 8 * slot) or bytes(8))[0])


def size() -> dict[str, int]:
    """Resident pages and regions, as they are stated with each figure."""
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1])
    with open("/proc/self/maps") as file:
        regions = sum(1 for _ in file)
    return {"resident_pages": resident, "regions": regions, "threads": len(os.listdir("/proc/self/task"))}


def counters(length: int) -> dict[str, int]:
    """Numbers that the kernel showed of its last rewind, from so many bytes of the notebook."""
    values = {}
    for line in os.pread(notebook, max(length, 0), COUNTERS_OFFSET).decode().splitlines():
        key, _, value = line.partition(" ")
        if value.strip().isdigit():
            values[key] = int(value)
    return values


def failed(error: int, kind: str, labels: dict[str, Any]) -> None:
    """Print what a call refused, with the kernel's reason."""
    reason = ""
    with contextlib.suppress(OSError), open("/proc/self/rewind") as file:
        reason = "".join(line for line in file if line.startswith("refusal")).strip()
    print(json.dumps({"error": f"{os.strerror(error)} {reason}".strip(), "kind": kind, **labels}), flush=True)


def pages_of(pattern: str, dirty: int, generation: int) -> list[tuple[int, int]]:
    """Ranges of pages (first, count) that the request of a generation writes."""
    if pattern == "fixed":
        return [(0, dirty)]
    if pattern == "one-new":
        return [(0, max(dirty - 1, 0)), (dirty + generation, 1)]
    first = generation * dirty % max(1, 9900 - dirty)
    return [(first, dirty)]


def json_request() -> None:
    """A small realistic request: json, re, numpy."""
    rows = json.loads(document)
    names = {row["name"]: row for row in rows}
    found = re.findall(r"user(\d+)", " ".join(sorted(names)))
    a = np.arange(3000.0).reshape(50, 60)
    (a.T @ a).sum()
    json.dumps({"n": len(found), "k": list(names)[:50]})


def matmul_request() -> None:
    """Fresh arrays in each request: mappings that come and go."""
    a = np.ones((300, 300))
    (a @ a).sum()


REQUESTS = {"json+re+numpy": json_request, "matmul": matmul_request}


def request(kind: str, dirty: int, generation: int) -> int:
    """Do a request; the time it took."""
    if kind in REQUESTS:
        begin = time.perf_counter_ns()
        REQUESTS[kind]()
        return time.perf_counter_ns() - begin
    return sum(library.cw_store(base, first, count, 1) for first, count in pages_of(kind, dirty, generation))


def series(kind: str, dirty: int, **labels: Any) -> None:
    """Checkpoint, then the same request until the generations are through; print what it took."""
    flags = int(labels.get("flags", 0))
    library.cw_counters(notebook, COUNTERS_OFFSET)  # the second time writes to few pages
    generation = library.cw_checkpoint(notebook, CHECKPOINT_FLAGS)
    if generation < 0:
        failed(-generation, kind, labels)
        return
    if generation:
        put(REWIND_SLOT + generation, get(2))
    if generation < GENERATIONS:
        put(REQUEST_SLOT + generation, request(kind, dirty, generation))
        error = library.cw_rewind(notebook, flags or REWIND_FLAGS)
        failed(-error, kind, labels)
        sys.exit(1)
    shown = library.cw_counters(notebook, COUNTERS_OFFSET)
    overhead = library.cw_overhead_ns(notebook)
    print(
        json.dumps(
            {
                "kind": kind,
                "dirty_pages": dirty,
                **labels,
                **size(),
                "checkpoint_ns": get(1),
                "rewind_ns": [get(REWIND_SLOT + g) - overhead for g in range(1, GENERATIONS + 1)],
                "request_ns": [get(REQUEST_SLOT + g) for g in range(GENERATIONS)],
                "counters": counters(shown),
            }
        ),
        flush=True,
    )


def plain(kind: str) -> None:
    """The same request without a checkpoint."""
    times = [request(kind, 0, generation) for generation in range(GENERATIONS)]
    print(json.dumps({"kind": kind, "axis": "unprotected", "request_ns": times, **size()}), flush=True)


def more_regions(count: int) -> None:
    """Mappings that cannot merge: every other page has other rights."""
    if not count:
        return
    block = mmap.mmap(-1, 2 * count * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(block))
    for i in range(count):
        ctypes.CDLL(None).mprotect(ctypes.c_void_p(address + 2 * i * PAGE), ctypes.c_size_t(PAGE), 1)
    kept.append(block)


def more_pages(count: int) -> None:
    """Resident pages that no request touches."""
    kept.append(np.ones(count * PAGE // 8))


def axis_dirty() -> None:
    """Pages written by each request."""
    for kind in ("fixed", "one-new", "sliding"):
        for dirty in (0, 10, 100, 1000) if kind == "sliding" else (0, 10, 100, 1000, 10000):
            series(kind, dirty, axis="dirty")


def axis_mapped() -> None:
    """Resident pages beside those written."""
    for extra in (0, 10000, 20000, 20000):
        more_pages(extra)
        series("fixed", 100, axis="mapped")


def axis_regions() -> None:
    """Mappings."""
    for extra in (0, 100, 400, 1500):
        more_regions(extra)
        series("fixed", 100, axis="regions")


def axis_threads() -> None:
    """Idle threads."""
    total = 0
    for count in (0, 1, 4, 8, 16, 64):
        library.cw_start_idle_threads(count - total)
        total = count
        series("fixed", 0, axis="threads", idle_threads=count)


def axis_descriptors() -> None:
    """Open files."""
    for count in (0, 50, 200, 700):
        kept.extend(os.open("/dev/null", os.O_RDONLY) for _ in range(count))
        series("fixed", 0, axis="descriptors", open_files=len(kept))


def axis_ablation() -> None:
    """What each optimisation is worth."""
    names = {"none": 0, "no reuse": NO_REUSE, "no region reuse": NO_REGION_REUSE, "full walk": FULL_WALK}
    for label, flags in names.items():
        for dirty in (0, 1000):
            series("fixed", dirty, axis="ablation", ablation=label, flags=flags)
        series("matmul", 0, axis="ablation", ablation=label, flags=flags)


def axis_requests() -> None:
    """Whole requests, without and with isolation."""
    for kind, warm_up in REQUESTS.items():
        for _ in range(3):
            warm_up()
        plain(kind)
        series(kind, 0, axis="requests")


def axis_baselines() -> None:
    """The same kernel's page copy, copy-on-write fault, first touch, and fork cycle."""
    library.cw_store(base, 0, 9900, 1)
    count = 1000
    copy = library.cw_copy(base, count + 1) / count
    fresh = mmap.mmap(-1, (count + 2) * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = ctypes.addressof(ctypes.c_char.from_buffer(fresh))
    first_touch = library.cw_store(start, 0, count, 1) / count
    cycles = {}
    for dirty in (0, 100, 1000, 9900):
        runs = [library.cw_fork_cycle(notebook, base, dirty) for _ in range(4)]
        cycles[dirty] = {"cycle_ns": runs[-1], "stores_ns": get(2)}
    cow = (cycles[9900]["stores_ns"] - cycles[100]["stores_ns"]) / 9800
    line = {"axis": "baselines", "copy_ns": copy, "first_touch_ns": first_touch, "cow_fault_ns": cow}
    print(
        json.dumps({**line, "fork": cycles, "clock_overhead_ns": library.cw_overhead_ns(notebook), **size()})
    )


if __name__ == "__main__":
    AXIS = sys.argv[1]
    GENERATIONS = min(int(sys.argv[2]), MAX_GENERATIONS)
    CHECKPOINT_FLAGS, REWIND_FLAGS = int(sys.argv[3], 0), int(sys.argv[4], 0)
    gc.collect()
    gc.freeze()  # as every launcher here: a collection writes to each object
    globals()[f"axis_{AXIS}"]()
