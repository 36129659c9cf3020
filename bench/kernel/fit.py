"""Lines through cost figures: slope and intercept of a sweep, and the table that is quoted."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

Record = Mapping[str, Any]


PAGE_BYTES = 4096
#: A line that misses a point by more of its cost is none.
BENT = 0.1
#: What each axis sweeps, as its records name it.
SIZES = {
    "dirty": "dirty_pages",
    "mapped": "resident_pages",
    "regions": "regions",
    "threads": "idle_threads",
    "descriptors": "open_files",
}


@dataclass(frozen=True)
class Line:
    """A least-squares line: cost_ns = intercept_ns + slope_ns * size."""

    intercept_ns: float
    slope_ns: float
    #: The largest relative distance of a point from the line.
    worst_relative: float
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Summary:
    """The figures that targets and thresholds speak of; None where an axis was not measured."""

    checkpoint_ns: float | None
    checkpoint_again_ns: float | None
    rewind_0_dirty_ns: float | None
    rewind_1000_dirty_ns: float | None
    rewind_per_dirty_page_ns: float | None
    rewind_per_dirty_page_one_new_ns: float | None
    rewind_per_dirty_page_sliding_ns: float | None
    rewind_per_idle_thread_ns: float | None
    rewind_per_thousand_mapped_pages_ns: float | None
    rewind_per_region_ns: float | None
    rewind_per_descriptor_ns: float | None
    first_touch_ns: float | None
    next_request_fraction: float | None
    page_copy_ns: float | None
    cow_fault_ns: float | None
    fork_cycle_1000_ns: float | None
    request_unprotected_ns: float | None
    request_protected_ns: float | None
    request_rewind_ns: float | None
    matmul_unprotected_ns: float | None
    matmul_protected_ns: float | None
    log_beside_images_0_dirty_bytes: float | None
    log_beside_images_10000_dirty_bytes: float | None

    def as_dict(self) -> dict[str, float | None]:
        """By name, for JSON."""
        return asdict(self)


def number(value: float | None) -> str:
    """A figure for people, whatever its unit."""
    if value is None:
        return "not measured"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.4f}"


def line(points: Sequence[tuple[float, float]]) -> Line:
    """Fit a line, weighting by 1/cost so that small sizes count as much as large ones.

    Raises ValueError on fewer than two sizes.
    """
    sizes = np.array([size for size, _ in points], dtype=float)
    costs = np.array([cost for _, cost in points], dtype=float)
    if len(set(sizes.tolist())) < 2:
        raise ValueError("a line needs two sizes")
    slope, intercept = np.polyfit(sizes, costs, 1, w=1 / np.maximum(costs, 1.0))
    fitted = intercept + slope * sizes
    worst = float(np.max(np.abs(fitted - costs) / np.maximum(costs, 1.0)))
    return Line(float(intercept), float(slope), worst, tuple(points))


def steady(values: Sequence[float]) -> float:
    """The cost once the first generations, which fault in what later ones find, are over."""
    return float(median(values[len(values) // 2 :]))


def sweep(records: Sequence[Record], size: str) -> list[tuple[float, float]]:
    """Points (size, steady cost of a rewind) of some records."""
    return [(float(record[size]), steady(record["rewind_ns"])) for record in records]


def lines(records: Sequence[Record]) -> dict[str, Line]:
    """The line through each sweep of a rewind, by "axis, kind"; sweeps with one size are left out."""
    sweeps: dict[str, list[Record]] = {}
    for record in records:
        if "error" not in record and record.get("axis") in SIZES:
            sweeps.setdefault(f"{record['axis']}, {record['kind']}", []).append(record)
    found = {}
    for name, points in sweeps.items():
        with contextlib.suppress(ValueError):
            found[name] = line(sweep(points, SIZES[name.partition(",")[0]]))
    return found


def beside_images(record: Record) -> int | None:
    """What the log of a record holds beside its images (bytes); None where the kernel does not say."""
    counters = record.get("counters", {})
    if not {"logged", "log_bytes"} <= counters.keys():
        return None
    return int(counters["log_bytes"]) - int(counters["logged"]) * PAGE_BYTES


def summarise(records: Sequence[Record]) -> Summary:
    """All headline figures of a run's records."""
    axes: dict[str, list[Record]] = {}
    for record in records:
        if "error" not in record:
            axes.setdefault(str(record.get("axis")), []).append(record)
    dirty = axes.get("dirty", [])
    fixed = [r for r in dirty if r["kind"] == "fixed"]
    base = (axes.get("baselines") or [{}])[0]
    plain = {r["kind"]: steady(r["request_ns"]) for r in axes.get("unprotected", [])}
    requests = {r["kind"]: r for r in axes.get("requests", [])}
    kept = {kind: steady(r["request_ns"]) for kind, r in requests.items()}
    logs = {r["dirty_pages"]: beside_images(r) for r in fixed}
    main = "json+re+numpy"
    return Summary(
        checkpoint_ns=fixed[0]["checkpoint_ns"] if fixed else None,
        checkpoint_again_ns=fixed[-1]["checkpoint_ns"] if len(fixed) > 1 else None,
        rewind_0_dirty_ns=steady(fixed[0]["rewind_ns"]) if fixed else None,
        rewind_1000_dirty_ns=next((steady(r["rewind_ns"]) for r in fixed if r["dirty_pages"] == 1000), None),
        rewind_per_dirty_page_ns=_slope(fixed, "dirty_pages"),
        rewind_per_dirty_page_one_new_ns=_slope([r for r in dirty if r["kind"] == "one-new"], "dirty_pages"),
        rewind_per_dirty_page_sliding_ns=_slope([r for r in dirty if r["kind"] == "sliding"], "dirty_pages"),
        rewind_per_idle_thread_ns=_slope(axes.get("threads", []), "idle_threads"),
        rewind_per_thousand_mapped_pages_ns=_times(_slope(axes.get("mapped", []), "resident_pages"), 1000),
        rewind_per_region_ns=_slope(axes.get("regions", []), "regions"),
        rewind_per_descriptor_ns=_slope(axes.get("descriptors", []), "open_files"),
        first_touch_ns=_first_touch(fixed),
        next_request_fraction=_ratio(kept.get(main), plain.get(main)),
        page_copy_ns=base.get("copy_ns"),
        cow_fault_ns=base.get("cow_fault_ns"),
        fork_cycle_1000_ns=base.get("fork", {}).get("1000", {}).get("cycle_ns"),
        request_unprotected_ns=plain.get(main),
        request_protected_ns=kept.get(main),
        request_rewind_ns=steady(requests[main]["rewind_ns"]) if main in requests else None,
        matmul_unprotected_ns=plain.get("matmul"),
        matmul_protected_ns=kept.get("matmul"),
        log_beside_images_0_dirty_bytes=logs.get(0),
        log_beside_images_10000_dirty_bytes=logs.get(10000),
    )


def _slope(records: Sequence[Record], size: str) -> float | None:
    try:
        return line(sweep(records, size)).slope_ns
    except ValueError:
        return None


def _first_touch(fixed: Sequence[Record]) -> float | None:
    largest = max(fixed, key=lambda record: record["dirty_pages"], default=None)
    if largest is None or not largest["dirty_pages"]:
        return None
    return float(largest["request_ns"][0] / largest["dirty_pages"])


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _ratio(value: float | None, other: float | None) -> float | None:
    return value / other if value is not None and other else None
