"""A run as pandas frames with declared columns.

Integers that may be absent are pandas' `Int64`; text is `str`; everything else is NumPy's type.
A table that no cell recorded is an empty frame with the same columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.errors import UserError
from bench.store import CellRecord, Manifest, read_cells, read_manifest
from bench.store.schemas import CELLS, TABLES

CELL_KEY = ["experiment", "scheme", "workload", "params", "repetition"]


@dataclass(frozen=True)
class Frames:
    """One run: its manifest and one frame per table of `bench.store.schemas`.

    `cells` has finished and failed cells (column `status`); the other frames hold the rows of
    finished cells only, as a failed cell's rows support no figure.
    """

    manifest: Manifest
    cells: pd.DataFrame
    requests: pd.DataFrame
    activations: pd.DataFrame
    memory: pd.DataFrame
    oracle: pd.DataFrame
    audit: pd.DataFrame
    restores: pd.DataFrame
    #: Tables derived from these, kept by their function's name: many figures need the same one.
    derived: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    @property
    def finished(self) -> pd.DataFrame:
        """The cells that ended well."""
        return self.cells[self.cells["status"] != "failed"]

    @property
    def failed(self) -> pd.DataFrame:
        """The cells that did not."""
        return self.cells[self.cells["status"] == "failed"]

    def schemes(self, present: Iterable[str]) -> list[str]:
        """Names in figure order."""
        return _ordered(present, self.manifest.schemes)

    def workloads(self, present: Iterable[str]) -> list[str]:
        """Names in figure order."""
        return _ordered(present, self.manifest.workloads)


def load(run_dir: Path) -> Frames:
    """Read a run, finished or not; UserError names the file that cannot be read and what to do."""
    manifest = read_manifest(run_dir)
    records = read_cells(run_dir)
    finished = [record for record in records if record.status != "failed"]
    tables = {name: _read_table(run_dir, name, schema, finished) for name, schema in TABLES.items()}
    rows = [msgspec.structs.asdict(record) for record in records]
    columns = [pa.array([row[f.name] for row in rows], f.type) for f in CELLS]
    cells = as_frame(pa.Table.from_arrays(columns, schema=CELLS))
    return Frames(
        manifest,
        cells,
        tables["requests"],
        tables["activations"],
        tables["memory"],
        tables["oracle"],
        tables["audit"],
        tables["restores"],
    )


def as_frame(table: pa.Table) -> pd.DataFrame:
    """An Arrow table as a frame with the types that this module promises."""
    frame: pd.DataFrame = table.to_pandas(integer_object_nulls=True)
    for column in table.schema:
        if pa.types.is_integer(column.type) and column.nullable:
            frame[column.name] = frame[column.name].astype("Int64")
        elif pa.types.is_string(column.type):
            frame[column.name] = frame[column.name].astype("str")
        elif not len(frame):
            frame[column.name] = frame[column.name].astype(column.type.to_pandas_dtype())
    return frame


def _read_table(run_dir: Path, name: str, schema: pa.Schema, cells: list[CellRecord]) -> pd.DataFrame:
    parts = []
    for cell in cells:
        file = run_dir / "cells" / cell.key.path / f"{name}.parquet"
        if file.exists():
            parts.append(_read_file(file, schema))
    return as_frame(pa.concat_tables(parts) if parts else schema.empty_table())


def _read_file(file: Path, schema: pa.Schema) -> pa.Table:
    try:
        table = pq.ParquetFile(file).read()
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{file} cannot be read: {error}", hint="remove that cell's folder and resume the run"
        ) from error
    table = _with_later_columns(table, schema)
    if table.schema.equals(schema):
        return table
    there = {f.name: f.type for f in table.schema}
    want = {f.name: f.type for f in schema}
    faults = [f"column {n} is missing" for n in want if n not in there]
    faults += [f"column {n} is unknown" for n in there if n not in want]
    faults += [f"column {n} is {there[n]}, not {t}" for n, t in want.items() if there.get(n, t) != t]
    raise UserError(
        f"{file} does not fit the declared table: {'; '.join(faults) or 'its columns are in another order'}",
        hint="it was written by another revision of rewind-bench; its manifest names which",
    )


def _with_later_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """What may be null and was not yet recorded when the run was made is null."""
    for place, column in enumerate(schema):
        if column.nullable and column.name not in table.schema.names:
            table = table.add_column(place, column, pa.nulls(len(table), column.type))
    return table


def _ordered(present: Iterable[str], declared: list[str]) -> list[str]:
    place = {name: i for i, name in enumerate(declared)}
    return sorted(set(present), key=lambda name: (place.get(name, len(place)), name))
