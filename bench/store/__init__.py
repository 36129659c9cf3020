"""Run folders: manifest, raw records per finished cell, Parquet."""

from bench.store.folder import RunFolder, read_cells, read_manifest
from bench.store.keys import CellKey
from bench.store.manifest import Manifest, Stage, TestbedFacts
from bench.store.rows import (
    ActivationRow,
    AuditRow,
    CellRecord,
    MemoryRow,
    OracleRow,
    RequestRow,
    RestoreRow,
    Row,
)

__all__ = [
    "ActivationRow",
    "AuditRow",
    "CellKey",
    "CellRecord",
    "Manifest",
    "MemoryRow",
    "OracleRow",
    "RequestRow",
    "RestoreRow",
    "Row",
    "RunFolder",
    "Stage",
    "TestbedFacts",
    "read_cells",
    "read_manifest",
]
