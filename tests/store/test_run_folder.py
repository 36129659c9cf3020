"""A run folder keeps what was finished, whatever happens to its writer."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench import runs, store
from bench.errors import AccessError, ConfigError, DiskFullError, UserError
from bench.store.files import write_file
from bench.store.keys import slug
from bench.store.schemas import REQUESTS, SCHEMA_VERSION


def manifest(**changes):
    fields = {
        "schema_version": SCHEMA_VERSION,
        "run": "r1",
        "profile_name": "smoke",
        "profile": {},
        "seed": 7,
        "clock": "wall",
        "git_revision": "abc",
        "git_dirty": False,
        "builds": {},
        "packages": {},
        "testbed": None,
        "started": "2026-01-01T00:00:00Z",
        "ended": "",
        "stages": [],
        "planned_cells": 2,
        "failures": [],
    }
    return store.Manifest(**{**fields, **changes})


def key(repetition=0, **params):
    return store.CellKey.of("latency", "baseline", "hello", params or {"pool_mb": 1024}, repetition)


def cell(key, **facts):
    return store.CellRecord.of(key, started_s=1.0, ended_s=2.0, **facts)


def request(index=0, **changes):
    fields = {
        "index": index,
        "action": "hello",
        "warmup": False,
        "intended_ns": 10,
        "actual_ns": 12,
        "end_ns": 30,
        "status": 200,
        "ok": True,
    }
    return store.RequestRow(**{**fields, **changes})


def test_a_recorded_cell_is_done_and_its_rows_are_read_back_with_the_declared_schema(tmp_path):
    with store.RunFolder.create(tmp_path, manifest()) as run:
        dropped = request(1, actual_ns=None, end_ns=None, status=None, ok=False, error="dropped")
        folder = run.record(cell(key()), {"requests": [request(), dropped]})
        assert run.done() == {key()}
        assert run.missing([key(1), key()]) == [key(1)]
    assert folder == tmp_path / "cells/latency/baseline/hello/pool_mb=1024/r0"
    table = pq.ParquetFile(folder / "requests.parquet").read()
    assert table.schema.equals(REQUESTS)
    assert table.column("actual_ns").to_pylist() == [12, None]
    assert table.column("params").to_pylist() == ['{"pool_mb":1024}'] * 2


def test_a_failed_cell_keeps_error_hint_and_rows_and_is_still_missing_until_it_succeeds(tmp_path):
    with store.RunFolder.create(tmp_path, manifest()) as run:
        failed = run.record(
            cell(key(), status="failed", error="guest lost", hint="look in logs/"), {"requests": [request()]}
        )
        assert failed.is_relative_to(tmp_path / "failed")
        assert (failed / "requests.parquet").is_file()
        assert json.loads((failed / "cell.json").read_text())["hint"] == "look in logs/"
        assert run.missing([key()]) == [key()]
        run.record(cell(key(), status="failed", error="again"), {})
        assert [record.error for record in store.read_cells(tmp_path)] == ["again"]
        run.record(cell(key()), {"requests": [request()]})
        assert run.missing([key()]) == []
    assert [record.status for record in store.read_cells(tmp_path)] == ["ok"]


def test_paths_are_one_to_one_and_readable():
    assert slug('{"pool_mb":1024,"rate":2}') == "pool_mb=1024,rate=2"
    assert slug('{"n":1}') != slug('{"n":"1"}') != slug('{"n":1.0}')
    assert slug('{"on":true}') != slug('{"on":"true"}')
    assert slug("{}") == "default"
    assert "/" not in slug('{"path":"../x/y"}')
    assert store.CellKey.of("e", "s", "w", {"b": 1, "a": 2}) == store.CellKey.of(
        "e", "s", "w", {"a": 2, "b": 1}
    )
    long = [slug(json.dumps({"list": list(range(n))})) for n in (200, 201)]
    assert long[0] != long[1]
    assert max(map(len, long)) <= 120


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden"])
def test_names_that_are_no_folder_names_are_refused(name):
    with pytest.raises(ConfigError, match="cannot name a folder"):
        store.CellKey.of("latency", name, "hello", {})


def test_a_second_harness_in_one_folder_is_refused_and_the_first_goes_on(tmp_path):
    with store.RunFolder.create(tmp_path, manifest()) as run:
        with pytest.raises(AccessError, match=f"in use.*process {os.getpid()}"):
            store.RunFolder.open(tmp_path)
        run.record(cell(key()), {})
    store.RunFolder.open(tmp_path).close()


def test_creating_over_a_run_is_refused(tmp_path):
    store.RunFolder.create(tmp_path, manifest()).close()
    with pytest.raises(UserError, match="holds a run already"):
        store.RunFolder.create(tmp_path, manifest())


KILLED_WRITER = """
import os, sys
sys.path.insert(0, sys.argv[2])
from test_run_folder import cell, key, manifest, request
from pathlib import Path
from bench import store
import bench.store.folder as folder
run = store.RunFolder.create(Path(sys.argv[1]), manifest())
run.record(cell(key(0)), {"requests": [request()]})
whole, written = folder.write_file, []
def dying(path, content):
    if len(written) == int(sys.argv[3]):
        path.write_bytes(content[: len(content) // 2])
        os.kill(os.getpid(), 9)
    whole(path, content)
    written.append(path)
folder.write_file = dying
run.record(cell(key(1)), {"requests": [request()]})
"""


@pytest.mark.parametrize("files_before", [0, 1])
def test_a_writer_killed_in_the_middle_leaves_only_whole_cells_and_its_lock_is_free(tmp_path, files_before):
    here = str(Path(__file__).parent)
    argv = [sys.executable, "-c", KILLED_WRITER, str(tmp_path), here, str(files_before)]
    assert subprocess.run(argv, check=False).returncode == -signal.SIGKILL
    assert list((tmp_path / "tmp").iterdir()), "the kill came too late to test anything"
    assert [r.key for r in store.read_cells(tmp_path)] == [key(0)]
    with store.RunFolder.open(tmp_path) as run:
        assert not list((tmp_path / "tmp").iterdir())
        assert run.missing([key(0), key(1)]) == [key(1)]
        run.record(cell(key(1)), {"requests": [request()]})
        assert run.done() == {key(0), key(1)}


def test_a_full_device_is_a_typed_error_with_advice():
    with pytest.raises(DiskFullError, match="no space left") as caught:
        write_file(Path("/dev/full"), b"x" * 100)
    assert "--resume" in caught.value.hint


FULL_DISK = """
import subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
where = Path(sys.argv[1])
mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", where]
if subprocess.run(mount, capture_output=True).returncode:
    sys.exit(77)
from test_run_folder import cell, key, manifest, request
from bench import store
from bench.errors import DiskFullError
run = store.RunFolder.create(where, manifest())
run.record(cell(key(0)), {"requests": [request()]})
import random
rows = [request(i, intended_ns=random.getrandbits(60), end_ns=random.getrandbits(60)) for i in range(50000)]
try:
    run.record(cell(key(1)), {"requests": rows})
except DiskFullError:
    assert run.done() == {key(0)} and not list((where / "tmp").iterdir())
    run.record(cell(key(2)), {"requests": [request()]})
    sys.exit(0)
sys.exit(1)
"""


def test_a_disk_that_fills_up_loses_nothing_finished(tmp_path):
    here = str(Path(__file__).parent)
    script = [sys.executable, "-c", FULL_DISK, str(tmp_path), here]
    done = subprocess.run(["unshare", "-Urm", *script], capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this machine allows no file system of one's own")
    assert done.returncode == 0, done.stderr


def test_a_row_without_a_needed_value_is_refused_and_nothing_is_recorded(tmp_path):
    with store.RunFolder.create(tmp_path, manifest()) as run:
        with pytest.raises(ValueError, match=r"requests\.intended_ns"):
            run.record(cell(key()), {"requests": [request(intended_ns=None)]})
        assert run.done() == set()


def test_stages_are_timed_and_kept_over_a_resume_also_when_they_fail(tmp_path):
    with store.RunFolder.create(tmp_path, manifest()) as run, run.stage("build"):
        pass
    with store.RunFolder.open(tmp_path) as run, pytest.raises(RuntimeError), run.stage("boot"):
        raise RuntimeError
    stages = store.read_manifest(tmp_path).stages
    assert [stage.name for stage in stages] == ["build", "boot"]
    assert all(0 <= stage.seconds < 60 for stage in stages)


@pytest.mark.parametrize(
    ("version", "advice"), [(SCHEMA_VERSION + 1, "update"), (SCHEMA_VERSION - 1, "measure again")]
)
def test_another_schema_version_is_refused_with_advice(tmp_path, version, advice):
    store.RunFolder.create(tmp_path, manifest(schema_version=version)).close()
    with pytest.raises(UserError, match=f"schema version {version}") as caught:
        store.RunFolder.open(tmp_path)
    assert advice in caught.value.hint


def test_a_run_made_with_something_else_is_not_gone_on_with():
    builds = {"kernel-release": "a", "images": "b"}
    found = manifest(git_revision="1", builds=builds)
    assert runs.changed(found, builds, "1") == ""
    assert runs.changed(found, {**builds, "guest": "new"}, "1") == ""
    assert runs.changed(found, {**builds, "images": "c"}, "1") == "images has"
    assert "revision" in runs.changed(found, builds, "2")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema_version":1}'])
def test_a_damaged_manifest_and_a_folder_without_one_are_clear_errors(tmp_path, content):
    with pytest.raises(UserError, match="not a run folder"):
        store.read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        store.read_manifest(tmp_path)
