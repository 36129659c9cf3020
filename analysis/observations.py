"""Raw rows joined into what figures are made of: one row per measured request, with where it ran."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pandas as pd

from analysis.frames import CELL_KEY, Frames
from analysis.statistics import Sample

#: Above this share of the testbed's CPUs the platform itself limits what is measured.
PLATFORM_BOUND = 0.2
REFERENCE = "baseline"
#: What later schemes are held against as well.
SECOND_REFERENCE = "snapshot"
#: Where latency under load is taken from: the first of these that was run.
LATENCY_EXPERIMENTS = ("latency", "throughput", "saturation")

_NS = 1e-9


def cached(make: Callable[[Frames], pd.DataFrame]) -> Callable[[Frames], pd.DataFrame]:
    """Compute a table of a run once; callers must not change it."""

    def get(frames: Frames) -> pd.DataFrame:
        name = f"{make.__module__}.{make.__name__}"
        if name not in frames.derived:
            frames.derived[name] = make(frames)
        return frames.derived[name]

    get.__doc__ = make.__doc__
    get.__name__ = make.__name__
    return get


@cached
def requests(frames: Frames) -> pd.DataFrame:
    """Every request with boot, container and durations in seconds.

    Adds `boot`, `container` (one per cell for a request that no activation answered), `latency_s`
    (intended arrival to end; NaN unless the right result came), `wait_s`, `init_s`, `run_s`,
    `busy_after_s` (NaN without an activation), `cold`, `platform_bound`.
    """
    rows = frames.requests.merge(_cell_facts(frames), on=CELL_KEY, how="left", validate="many_to_one")
    known = _activation_columns(frames)
    rows = rows.merge(known, on="activation_id", how="left", validate="many_to_one")
    nowhere = rows["workload"] + "/" + rows["params"] + "/r" + rows["repetition"].astype(str)
    rows["container"] = rows["container"].where(rows["container"].notna(), nowhere)
    took = (rows["end_ns"] - rows["intended_ns"]).astype("Float64").to_numpy(float, na_value=float("nan"))
    rows["latency_s"] = pd.Series(took * _NS, index=rows.index).where(rows["ok"])
    return rows


@cached
def activations(frames: Frames) -> pd.DataFrame:
    """Every activation with boot, container and durations in seconds."""
    rows = frames.activations.merge(_cell_facts(frames), on=CELL_KEY, how="left", validate="many_to_one")
    return _in_seconds(rows).rename(columns={"container_id": "container"})


@cached
def memory(frames: Frames) -> pd.DataFrame:
    """Every memory sample with its boot."""
    return frames.memory.merge(_cell_facts(frames), on=CELL_KEY, how="left", validate="many_to_one")


@cached
def oracle(frames: Frames) -> pd.DataFrame:
    """Every request of the oracle with boot and container."""
    return _placed(frames, frames.oracle)


@cached
def audit(frames: Frames) -> pd.DataFrame:
    """Every request of the audit with boot and container."""
    return _placed(frames, frames.audit)


def _placed(frames: Frames, rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.merge(_cell_facts(frames), on=CELL_KEY, how="left", validate="many_to_one")
    return rows.rename(columns={"container_id": "container"})


def _cell_facts(frames: Frames) -> pd.DataFrame:
    facts = frames.finished[[*CELL_KEY, "boot_id", "platform_cpu_share"]].rename(columns={"boot_id": "boot"})
    facts["platform_bound"] = facts.pop("platform_cpu_share") > PLATFORM_BOUND
    return facts


def _in_seconds(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.copy()
    for name in ("wait", "init", "run", "busy_after"):
        nanoseconds = rows.pop(f"{name}_ns").astype("Float64")
        rows[f"{name}_s"] = nanoseconds.to_numpy(float, na_value=float("nan")) * _NS
    return rows


def _activation_columns(frames: Frames) -> pd.DataFrame:
    wanted = ["activation_id", "container_id", "cold", "wait_ns", "init_ns", "run_ns", "busy_after_ns"]
    rows = frames.activations[wanted].drop_duplicates("activation_id")
    rows = rows[rows["activation_id"] != ""].rename(columns={"container_id": "container"})
    return _in_seconds(rows)


def sample(rows: pd.DataFrame, column: str) -> Sample:
    """The values of a column that are there, with boot and container."""
    rows = rows[rows[column].notna()]
    return Sample.of(rows[column].astype(float), rows["boot"], rows["container"])


def of_experiment(rows: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The rows of the first of these experiments that has any."""
    for name in names:
        mine = rows[rows["experiment"] == name]
        if len(mine):
            return mine
    return rows.iloc[:0]


def params_label(params: str) -> str:
    """Parameters as a reader wants them: `pool 1024 MB, rate 2 requests/s`."""
    values: dict[str, object] = json.loads(params)
    units = {"mb": "MB", "ms": "ms", "s": "s", "rps": "requests/s"}
    parts = []
    for name, value in values.items():
        stem, _, unit = name.replace("rate_per_s", "rate_rps").rpartition("_")
        parts.append(f"{stem} {value} {units[unit]}" if stem and unit in units else f"{name} = {value}")
    return ", ".join(parts)


def params_order(params: str) -> tuple[object, ...]:
    """Sorts parameters by value, so that 512 comes before 1024."""
    values: dict[str, object] = json.loads(params)
    return tuple(
        (n, isinstance(v, str), v if isinstance(v, (int, float)) else str(v)) for n, v in values.items()
    )


def groups(rows: pd.DataFrame, *columns: str) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """Each group's key as a mapping with its rows."""
    for key, part in rows.groupby(list(columns), sort=True, observed=True):
        yield dict(zip(columns, (str(k) for k in key), strict=True)), part
