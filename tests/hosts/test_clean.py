"""After kill -9 of a harness: nothing runs on, and clean removes what is left, and only that."""

import multiprocessing
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from bench.hosts.clean import clean
from bench.hosts.leftovers import place, start_owned
from bench.hosts.living import announced, in_hand
from bench.paths import state_dir


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REWIND_BENCH_CACHE", str(tmp_path / "cache"))


def _harness(tell):
    with place("run-1") as where:
        console = where.folder / "console.log"
        child = start_owned(["tail", "-f", "-n", "0", "/dev/null", str(console)], log=where.folder / "log")
        where.note(child.pid, "tail")
        tell.send((child.pid, str(where.folder), str(where.sockets)))
        signal.pause()


@pytest.fixture
def harness():
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_harness, args=(theirs,))
    process.start()
    assert mine.poll(60)
    yield process, *mine.recv()
    process.kill()
    process.join()


def test_machine_dies_with_a_killed_harness_and_clean_removes_the_rest(harness):
    process, pid, folder, sockets = harness
    child = psutil.Process(pid)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert Path(folder).is_dir()
    done = clean(docker=False)
    assert folder in map(str, done.folders)
    assert not Path(folder).exists()
    assert not Path(sockets).exists()


def test_machine_of_a_living_harness_is_left_alone(harness):
    _, pid, folder, _ = harness
    done = clean(docker=False)
    assert done.busy == [pid]
    assert psutil.pid_exists(pid)
    assert Path(folder).is_dir()


def test_a_stranger_with_a_reused_pid_is_never_hit():
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        with place("run-2") as where:
            where.note(stranger.pid, "qemu-system-x86_64")
            note = (where.folder / "owned.json").read_text()
            (where.folder / "owned.json").write_text(
                note.replace(f'"harness_pid": {os.getpid()}', '"harness_pid": 4194303')
            )
            done = clean(docker=False)
            assert where.folder in done.folders
        assert stranger.poll() is None
        assert done.machines == []
    finally:
        stranger.kill()
        stranger.wait()


def _hold(tell):
    with announced("run-2"):
        tell.send("held")
        signal.pause()


def test_a_run_is_in_hand_as_long_as_its_harness_lives():
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_hold, args=(theirs,))
    process.start()
    assert mine.poll(60)
    with announced("run-3"):
        assert in_hand() == {"run-2", "run-3"}
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert in_hand() == {"run-3"}
    assert in_hand() == set()
    assert list((state_dir() / "runs").iterdir()) == []


def test_clean_of_nothing_is_nothing():
    assert clean(docker=False).lines() == []
    assert not (state_dir() / "vms").exists()
