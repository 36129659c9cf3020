"""Frames have the declared columns whatever was recorded, and say clearly what cannot be read."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic_run

from analysis import frames
from bench import store
from bench.errors import UserError
from bench.store.schemas import CELLS, SCHEMA_VERSION, TABLES


def test_every_frame_has_the_declared_columns_and_types(run):
    for name, schema in {**TABLES, "cells": CELLS}.items():
        frame = getattr(run, name)
        assert list(frame.columns) == schema.names
        assert len(frame) > 0 or name in ("oracle", "audit")  # which have runs of their own
    assert run.requests["actual_ns"].dtype == pd.Int64Dtype()
    assert run.requests["ok"].dtype == bool
    assert run.requests["index"].dtype == "int64"


def test_rows_of_all_cells_are_merged(run, run_dir):
    files = list((run_dir / "cells").rglob("requests.parquet"))
    assert len(run.requests) == sum(pq.ParquetFile(file).metadata.num_rows for file in files)
    assert set(run.requests["scheme"]) == {"baseline", "fork", "cold"}
    assert list(run.failed["error"]) == ["container did not start"]
    assert len(run.finished) + 1 == len(run.cells)


def test_a_run_without_any_cell_has_empty_frames_of_the_same_shape(tmp_path, run):
    store.RunFolder.create(tmp_path, synthetic_run.manifest()).close()
    empty = frames.load(tmp_path)
    for name in (*TABLES, "cells"):
        assert len(getattr(empty, name)) == 0
        assert dict(getattr(empty, name).dtypes) == dict(getattr(run, name).dtypes)


def test_order_follows_the_manifest_then_the_name(run):
    assert run.schemes(["zeta", "cold", "alpha", "baseline"]) == ["baseline", "cold", "alpha", "zeta"]


def broken(tmp_path, table):
    with store.RunFolder.create(tmp_path, synthetic_run.manifest()) as run:
        writer = synthetic_run.Writer(run)
        writer.load_cell("latency", "baseline", "hello", {}, 0, count=3)
    (file,) = tmp_path.rglob("requests.parquet")
    good = pq.ParquetFile(file).read()
    pq.write_table(table(good), file)
    return file


def test_a_column_that_an_older_run_did_not_have_is_null(tmp_path):
    broken(tmp_path, lambda t: t.drop_columns(["status"]))
    assert frames.load(tmp_path).requests["status"].isna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["ok"]), "column ok is missing"),
        (lambda t: t.append_column("more", pa.array([1] * len(t))), "column more is unknown"),
        (
            lambda t: t.set_column(5, "index", t["index"].cast(pa.float64())),
            "column index is double, not int64",
        ),
        (lambda t: t.select(t.schema.names[::-1]), "another order"),
    ],
)
def test_a_table_of_another_shape_is_refused_by_name(tmp_path, change, message):
    file = broken(tmp_path, change)
    with pytest.raises(UserError, match=message) as caught:
        frames.load(tmp_path)
    assert str(file) in caught.value.message
    assert caught.value.hint


def test_a_damaged_table_is_refused_by_name_with_advice(tmp_path):
    file = broken(tmp_path, lambda t: t)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UserError, match="cannot be read") as caught:
        frames.load(tmp_path)
    assert "resume" in caught.value.hint


def test_a_run_of_a_newer_program_is_refused(tmp_path):
    store.RunFolder.create(tmp_path, synthetic_run.manifest(schema_version=SCHEMA_VERSION + 1)).close()
    with pytest.raises(UserError, match="schema version"):
        frames.load(tmp_path)
