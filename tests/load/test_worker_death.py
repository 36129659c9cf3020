"""Killing the generator, or the harness, loses no finished request and leaves nothing running."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from bench import process
from bench.errors import DiskFullError, LoadError
from bench.load.driver import collect, run_load
from bench.load.plan import LOG, PLAN, REQUESTS
from bench.load.schedule import constant, repeat

pytestmark = pytest.mark.slow

LOAD_AND_WAIT = """
import sys
from pathlib import Path
import msgspec
from bench.load.driver import run_load
from bench.load.plan import LoadPlan
out = Path(sys.argv[1])
run_load(msgspec.json.decode((out / "given.json").read_bytes(), type=LoadPlan), out)
"""


def worker_of(out: Path) -> int:
    """The process that runs the plan in `out`."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"{out}/{PLAN}".encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                return int(entry.name)
        except OSError:
            continue
    raise AssertionError("no worker runs")


def wait_until(condition, limit_s=60):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        os.sched_yield()


def test_killed_worker_keeps_its_finished_requests(make_plan, tmp_path):
    plan = make_plan(constant(repeat("echo", 2000), 100))

    killed = []

    def kill_after(finished, total):
        if finished >= 20 and not killed:
            killed.append(worker_of(tmp_path))
            os.kill(killed[0], signal.SIGKILL)

    with pytest.raises(LoadError, match=r"ended with status -9 after \d+ of 2000 requests"):
        run_load(plan, tmp_path, on_progress=kill_after)
    result = collect(plan, tmp_path)
    assert 20 <= result.requests < 2000
    assert all(result.table["ok"].to_pylist())


def test_killed_harness_takes_the_worker_with_it_and_keeps_the_requests(make_plan, tmp_path):
    plan = make_plan(constant(repeat("echo", 3000), 50))
    (tmp_path / "given.json").write_bytes(msgspec.json.encode(plan))
    harness = subprocess.Popen([sys.executable, "-c", LOAD_AND_WAIT, str(tmp_path)])
    requests = tmp_path / REQUESTS
    wait_until(lambda: requests.is_file() and requests.read_bytes().count(b"\n") >= 10)
    worker = worker_of(tmp_path)
    harness.kill()
    harness.wait()
    wait_until(lambda: not Path(f"/proc/{worker}").exists())
    assert collect(plan, tmp_path).requests >= 10


def test_generator_that_does_not_start_is_a_load_error_that_names_its_log(make_plan, tmp_path, monkeypatch):
    monkeypatch.setenv("GEVENT_LOOP", "no-such-loop")
    with pytest.raises(LoadError, match="ended with status 1 after 0 of 3") as caught:
        run_load(make_plan(constant(repeat("echo", 3), 100)), tmp_path)
    assert str(tmp_path / LOG) in caught.value.hint
    assert "no-such-loop" in (tmp_path / LOG).read_text()


def test_full_disk_ends_the_worker_and_is_told_as_such(make_plan, tmp_path):
    (tmp_path / PLAN).write_bytes(msgspec.json.encode(make_plan(constant(repeat("echo", 1000), 10))))
    (tmp_path / REQUESTS).symlink_to("/dev/full")  # every write fails as on a full disk
    argv = [sys.executable, "-m", "bench.load.worker", str(tmp_path / PLAN), str(tmp_path), str(os.getpid())]
    with pytest.raises(DiskFullError):
        process.run(argv, timeout_s=60, log=tmp_path / LOG)
