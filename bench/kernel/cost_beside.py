"""What stands beside the sweeps of a rewind: the kernel's own costs, the ablations, and the log's size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.kernel.fit import Record, Summary, beside_images, steady

#: The ablation that leaves nothing out.
WHOLE = "none"


@dataclass(frozen=True)
class Beside:
    """One figure, with its unit, and what it is to be compared with."""

    name: str
    figure: str
    note: str = ""


def beside(summary: Summary, records: Sequence[Record]) -> tuple[Beside, ...]:
    """All that was measured of it, in the order of the table."""
    good = [record for record in records if "error" not in record]
    return (*_kernel(summary), *_ablations(good), *_logs(good))


def _kernel(summary: Summary) -> Iterator[Beside]:
    cow = summary.cow_fault_ns
    times = {
        "4 KiB copied": summary.page_copy_ns,
        "copy-on-write fault": cow,
        "fork, 1000 pages written, exit, wait": summary.fork_cycle_1000_ns,
    }
    yield from (Beside(name, _us(ns)) for name, ns in times.items() if ns is not None)
    if summary.first_touch_ns is not None:
        note = f"{_more(summary.first_touch_ns, cow)} beside a copy-on-write fault" if cow else ""
        yield Beside("first write to a page after a checkpoint", _us(summary.first_touch_ns), note)
    requests = {
        "next request, json + re + numpy": (summary.request_protected_ns, summary.request_unprotected_ns),
        "next request, product of matrices": (summary.matmul_protected_ns, summary.matmul_unprotected_ns),
    }
    for name, (kept, plain) in requests.items():
        if kept is not None and plain:
            yield Beside(name, _us(kept), f"{_more(kept, plain)} beside one without isolation")


def _ablations(records: Sequence[Record]) -> Iterator[Beside]:
    """A request and its rewind, by what is left out: a rewind that does less may cost the request more."""
    cycles = {
        (str(record["ablation"]), str(record["kind"]), int(record["dirty_pages"])): steady(
            record["request_ns"]
        )
        + steady(record["rewind_ns"])
        for record in records
        if record.get("axis") == "ablation"
    }
    for (label, kind, dirty), ns in cycles.items():
        whole = cycles.get((WHOLE, kind, dirty))
        if label != WHOLE:
            what = f"{dirty} pages" if kind == "fixed" else kind
            note = f"{_more(ns, whole)} beside {_us(whole)}" if whole else ""
            yield Beside(f"{label}: request and rewind, {what}", _us(ns), note)


def _logs(records: Sequence[Record]) -> Iterator[Beside]:
    """What the log holds beside its images, at the ends of the sweep."""
    sizes = {
        int(record["dirty_pages"]): (record["counters"], more)
        for record in records
        if record.get("axis") == "dirty" and record["kind"] == "fixed"
        if (more := beside_images(record)) is not None
    }
    for dirty in sorted({min(sizes), max(sizes)} if sizes else ()):
        counters, more = sizes[dirty]
        note = f"{more / 1024:,.0f} KiB beside {counters['logged']:,} images"
        yield Beside(f"log_bytes, {dirty} pages", f"{counters['log_bytes'] / 1024:,.0f} KiB", note)


def _us(value_ns: float) -> str:
    return f"{value_ns / 1e3:,.2f} µs" if value_ns < 10_000 else f"{value_ns / 1e3:,.1f} µs"


def _more(value: float, other: float) -> str:
    return f"{(value - other) / other:+.1%}"
