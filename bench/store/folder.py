"""A run's folder: manifest, finished and failed cells, logs; safe against kill and full disk."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import pyarrow as pa

from bench.errors import AccessError, UserError
from bench.store.files import parquet_bytes, replace_file, replace_folder, typed_errors, write_file
from bench.store.keys import CellKey
from bench.store.manifest import Manifest, Stage
from bench.store.rows import CellRecord, Row
from bench.store.schemas import SCHEMA_VERSION, TABLES

MANIFEST = "manifest.json"
CELL = "cell.json"
_CELL_GLOB = f"*/*/*/*/r*/{CELL}"


class RunFolder:
    """The one writer of results/RUN/ (a lock refuses a second one); close it, or use `with`.

    Everything is written beside its place and renamed, so a reader sees whole cells only.
    """

    def __init__(self, path: Path, manifest: Manifest, lock: int) -> None:
        self.path = path
        self.manifest = manifest
        self._lock = lock
        self._made = 0

    @classmethod
    def create(cls, path: Path, manifest: Manifest) -> RunFolder:
        """A new run; UserError when the folder holds one already."""
        with typed_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        if (path / MANIFEST).exists():
            raise UserError(
                f"{path} holds a run already", hint="choose another name, or go on with it by --resume"
            )
        run = cls(path, manifest, _locked(path))
        run._prepare()
        run.write_manifest()
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Go on with a run; UserError when there is none, it is damaged, or of another schema."""
        manifest = read_manifest(path)
        run = cls(path, manifest, _locked(path))
        run._prepare()
        return run

    def _prepare(self) -> None:
        # What a killed writer left half-made is under tmp/ and nobody else's: we hold the lock.
        with typed_errors(self.path):
            shutil.rmtree(self.path / "tmp", ignore_errors=True)
            for folder in ("cells", "failed", "logs", "tmp"):
                (self.path / folder).mkdir(exist_ok=True)
            for stale in self.path.glob(".*.tmp"):
                stale.unlink(missing_ok=True)

    def close(self) -> None:
        """Give up the lock."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def logs(self) -> Path:
        """Where logs of this run go."""
        return self.path / "logs"

    def write_manifest(self) -> None:
        """Write `self.manifest` as it is now, in one step."""
        replace_file(
            self.path / MANIFEST, msgspec.json.format(msgspec.json.encode(self.manifest), indent=2) + b"\n"
        )

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage of the run and note it in the manifest, also when it fails."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.manifest.stages.append(Stage(name, round(time.monotonic() - begun, 3)))
            self.write_manifest()

    def record(self, cell: CellRecord, tables: Mapping[str, Sequence[Row]]) -> Path:
        """Write a cell with its rows (table name -> rows; absent tables were not recorded).

        A failed cell goes to failed/ with what it has; a finished one to cells/, and an earlier
        failure of it is forgotten. Returns the cell's folder. DiskFullError leaves nothing half.
        """
        self._made += 1
        made = self.path / "tmp" / f"cell-{self._made}"
        failed = self.path / "failed" / cell.key.path
        target = failed if cell.status == "failed" else self.path / "cells" / cell.key.path
        try:
            with typed_errors(made):
                made.mkdir(parents=True)
            for name, rows in tables.items():
                write_file(made / f"{name}.parquet", parquet_bytes(as_table(cell.key, name, rows)))
            write_file(made / CELL, msgspec.json.format(msgspec.json.encode(cell), indent=2) + b"\n")
            replace_folder(made, target)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        if target != failed:
            shutil.rmtree(failed, ignore_errors=True)
        return target

    def done(self) -> set[CellKey]:
        """The finished cells."""
        return {record.key for record in read_cells(self.path) if record.status != "failed"}

    def missing(self, plan: Iterable[CellKey]) -> list[CellKey]:
        """What of the plan is not finished (failed cells included), in the plan's order."""
        return [key for key in plan if not (self.path / "cells" / key.path / CELL).is_file()]


def as_table(key: CellKey, name: str, rows: Sequence[Row]) -> pa.Table:
    """Rows with their cell's key, in the declared schema; ValueError for a row that does not fit."""
    schema = TABLES[name]
    cell = {f: getattr(key, f) for f in ("experiment", "scheme", "workload", "params", "repetition")}
    plain = [msgspec.structs.asdict(row) for row in rows]
    columns = [
        pa.array([cell[f.name]] * len(plain) if f.name in cell else [r[f.name] for r in plain], f.type)
        for f in schema
    ]
    for field, column in zip(schema, columns, strict=True):
        if not field.nullable and column.null_count:
            raise ValueError(f"{name}.{field.name} has empty values in {key}")
    return pa.Table.from_arrays(columns, schema=schema)


def read_manifest(path: Path) -> Manifest:
    """The manifest of a run; UserError when it is absent, damaged or of another schema version."""
    file = path / MANIFEST
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"{path} is not a run folder: it has no {MANIFEST}", hint="name a folder results/RUN"
        ) from error
    try:
        version = msgspec.json.decode(content, type=_Versioned).schema_version
        _check_version(path, version)
        return msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise UserError(
            f"{file} is damaged: {error}", hint="mend it from a copy; the cells beside it are not touched"
        ) from error


def read_cells(path: Path) -> list[CellRecord]:
    """All finished and failed cells, sorted by key; UserError names a damaged cell.json."""
    found: list[CellRecord] = []
    for kind in ("cells", "failed"):
        for file in (path / kind).glob(_CELL_GLOB):
            try:
                found.append(msgspec.json.decode(file.read_bytes(), type=CellRecord))
            except FileNotFoundError:  # a failure forgotten while we looked
                continue
            except msgspec.DecodeError as error:
                raise UserError(
                    f"{file} is damaged: {error}", hint="remove that cell's folder and resume the run"
                ) from error
    return sorted(found, key=lambda record: record.key)


class _Versioned(msgspec.Struct):
    schema_version: int


def _check_version(path: Path, version: int) -> None:
    if version == SCHEMA_VERSION:
        return
    newer = version > SCHEMA_VERSION
    raise UserError(
        f"{path} was written with schema version {version}, this program reads {SCHEMA_VERSION}",
        hint="update rewind-bench"
        if newer
        else "use the revision of rewind-bench that its manifest names, or measure again",
    )


def _locked(path: Path) -> int:
    """An exclusive lock that ends with this process, however it ends."""
    file = path / ".lock"
    with typed_errors(file):
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise AccessError(
            f"{path} is in use by another rewind-bench (process {owner})",
            hint="wait until it ends, or start a run with another name",
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
