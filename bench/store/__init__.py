"""Run folders: manifest, raw records per finished cell, Parquet."""

from bench.store.folder import RunFolder, read_cells, read_manifest
from bench.store.keys import CellKey
from bench.store.manifest import Manifest, Stage, TestbedFacts
from bench.store.rows import ActivationRow, CellRecord, MemoryRow, RequestRow, Row

__all__ = [
    "ActivationRow",
    "CellKey",
    "CellRecord",
    "Manifest",
    "MemoryRow",
    "RequestRow",
    "Row",
    "RunFolder",
    "Stage",
    "TestbedFacts",
    "read_cells",
    "read_manifest",
]
