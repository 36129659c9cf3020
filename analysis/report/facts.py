"""What the report says in words and tables besides the figures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis import observations as obs
from analysis import tables
from analysis.figures import memory as memory_figure
from analysis.frames import Frames
from analysis.plotting.canvas import digits, seconds

Rows = list[list[str]]


@dataclass(frozen=True)
class Listing:
    """A table as text, ready to be set; the first column is a heading, the others figures."""

    title: str
    columns: list[str]
    rows: Rows
    note: str = ""


def status(frames: Frames) -> str:
    """How far the run is, in one sentence."""
    done, planned = len(frames.finished), max(frames.manifest.planned_cells, len(frames.finished))
    state = f"{done} of {planned} cells finished"
    if len(frames.failed):
        state += f", {len(frames.failed)} failed"
    if frames.manifest.ended:
        return f"{state}; the run ended {frames.manifest.ended}."
    return f"{state}; the run has not ended: this report covers what is there so far."


def failures_finding(frames: Frames) -> str:
    """Failed invocations of finished cells, counted."""
    steady = frames.requests[~frames.requests["warmup"]]
    if not len(steady):
        return "No measured request yet."
    bad = int((~steady["ok"]).sum())
    if not bad:
        return f"All {len(steady):,} measured requests were answered with the right result."
    unsent = int(steady["actual_ns"].isna().sum())
    late = int(frames.finished["late"].sum())
    wrong = int(frames.finished["wrong"].sum())
    return (
        f"{bad:,} of {len(steady):,} measured requests did not get the right result "
        f"({wrong:,} wrong results, {unsent:,} never sent); {late:,} were sent over 5 ms late."
    )


def summaries(frames: Frames) -> list[Listing]:
    """One table per experiment and parameters: every scheme on every workload."""
    table = tables.latency(frames)
    names = [*tables.KEY, "against"]
    ratios = {tuple(row[n] for n in names): row for row in tables.relative(frames).to_dict("records")}
    memory = memory_figure.table(frames)
    sizes = {(row["workload"], row["scheme"]): row for row in memory.to_dict("records")}
    listings = []
    for (experiment, params), part in table.groupby(["experiment", "params"], sort=False):
        rows = []
        for row in part.to_dict("records"):
            key = tuple(row[name] for name in tables.KEY)
            size = sizes.get((row["action"], row["scheme"]))
            rows.append(
                [
                    str(row["action"]),
                    str(row["scheme"]) + ("‡" if row["platform_bound"] else ""),
                    f"{row['n']:,}",
                    str(row["containers"]),
                    _with_interval(row, "median_s"),
                    seconds(row["p95_s"]),
                    seconds(row["p99_s"]),
                    seconds(row["max_s"]),
                    _ratio(ratios, (*key, obs.REFERENCE)),
                    _ratio(ratios, (*key, obs.SECOND_REFERENCE)),
                    f"{row['failed']}†" if row["failed"] else "0",
                    f"{row['cold_share']:.0%}" if np.isfinite(row["cold_share"]) else "–",
                    digits(size["pss_mb"]) if size else "–",
                    digits(size["slope_mb"]) if size else "–",
                ]
            )
        label = obs.params_label(str(params))
        warm = int(part["warmup"].sum())
        listings.append(
            Listing(
                f"{experiment}" + (f" ({label})" if label else ""),
                _SUMMARY_COLUMNS,
                rows,
                f"{warm:,} warm-up requests are labelled in the raw data and left out here." if warm else "",
            )
        )
    return listings


_SUMMARY_COLUMNS = [
    *("workload", "scheme", "n", "containers", "median [95 % interval]", "p95", "p99", "max"),
    *(f"× {obs.REFERENCE}", f"× {obs.SECOND_REFERENCE}", "failed", "cold", "PSS MiB", "guest MiB/container"),
]


def _with_interval(row: Mapping[Any, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    value = seconds(row[name])
    return f"{value} [{seconds(low)}–{seconds(high)}]" if np.isfinite(low) else value


def _ratio(ratios: Mapping[tuple[Any, ...], Mapping[Any, Any]], key: tuple[Any, ...]) -> str:
    row = ratios.get(key)
    if row is None:
        return "–"
    text = digits(row["ratio"])
    if np.isfinite(row["ratio_low"]) and row["ratio_low"] != row["ratio_high"]:
        text += f" [{digits(row['ratio_low'])}–{digits(row['ratio_high'])}]"
    return text


def machine(frames: Frames) -> Listing:
    """Where and with what the run was made."""
    manifest, testbed = frames.manifest, frames.manifest.testbed
    rows: Rows = [
        ["run", manifest.run],
        ["profile", manifest.profile_name],
        ["seed", str(manifest.seed)],
        ["clock of every latency", manifest.clock],
        ["started", manifest.started],
        ["ended", manifest.ended or "not yet"],
        ["revision", manifest.git_revision + (" with uncommitted changes" if manifest.git_dirty else "")],
    ]
    if testbed:
        rows += [
            ["testbed", testbed.kind],
            ["accelerator", testbed.accelerator],
            ["kernel", testbed.kernel],
            ["CPU", f"{testbed.cpu}, {testbed.cpus} visible"],
            ["memory", f"{testbed.memory_bytes / 2**30:.1f} GiB"],
            ["transparent huge pages", testbed.thp],
            ["mitigations", testbed.mitigations],
            ["Docker", testbed.docker],
            ["cgroup", f"v{testbed.cgroup}"],
        ]
    else:
        rows.append(["testbed", "has not answered yet"])
    boots = sorted({boot for boot in frames.cells["boot_id"] if boot})
    rows.append(["boots", ", ".join(boots) or "unknown"])
    return Listing("Machine", ["", ""], rows)


def builds(frames: Frames) -> Listing:
    """Content hashes of what was built, versions of what took part."""
    rows = [[f"build {name}", digest] for name, digest in sorted(frames.manifest.builds.items())]
    rows += [[name, version] for name, version in sorted(frames.manifest.packages.items())]
    return Listing("Builds and versions", ["", ""], rows)


def stages(frames: Frames) -> Listing:
    """Stages with their wall time."""
    rows = [[stage.name, f"{stage.seconds:,.1f} s"] for stage in frames.manifest.stages]
    if rows:
        rows.append(["together", f"{sum(stage.seconds for stage in frames.manifest.stages):,.1f} s"])
    return Listing("Stages", ["stage", "wall time"], rows)


def failed_cells(frames: Frames) -> Listing:
    """Cells that failed, and what to do."""
    rows = [[_cell_name(row), str(row.error), str(row.hint)] for row in frames.failed.itertuples(index=False)]
    rows += [["outside of cells", failure, ""] for failure in frames.manifest.failures]
    return Listing("Failed cells", ["cell", "error", "what to do"], rows)


def failed_invocations(frames: Frames) -> Listing:
    """Failed invocations of finished cells, by error."""
    bad = frames.requests[~frames.requests["ok"] & ~frames.requests["warmup"]]
    counts = bad.groupby(["experiment", "scheme", "action", "error"], sort=True, observed=True).size()
    rows = [[*map(str, _parts(key)), f"{count:,}"] for key, count in counts.items()]
    return Listing("Failed invocations", ["experiment", "scheme", "workload", "error", "count"], rows)


def _parts(key: object) -> Iterable[object]:
    return key if isinstance(key, tuple) else (key,)


def _cell_name(row: object) -> str:
    names = [str(getattr(row, part)) for part in ("experiment", "scheme", "workload")]
    label = obs.params_label(str(getattr(row, "params", "{}")))
    return " / ".join([*names, *([label] if label else []), f"repetition {getattr(row, 'repetition', 0)}"])


def profile_text(frames: Frames) -> str:
    """The resolved profile."""
    return json.dumps(frames.manifest.profile, indent=2, sort_keys=True, default=str)
