"""What the user-level snapshot puts back, seen through the proxy."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from bench.paths import RUNTIMES

SOURCE = RUNTIMES / "snapshot"
FLAGS = ("-O2", "-static", "-std=gnu11", "-Wall", "-Wextra", "-Werror")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("snapshot") / "scheme"
    shutil.copytree(SOURCE, made, ignore=shutil.ignore_patterns("__pycache__"))
    sources = sorted(str(path) for path in (SOURCE / "src").glob("*.c"))
    subprocess.run(["gcc", *FLAGS, "-o", str(made / "snapshotter"), *sources], check=True)
    return made


@pytest.fixture(params=["auto", "compare"])
def start(request, folder, start_runtime, tmp_path):
    def started(code, **env):
        settings = {"__OW_READY_FD": "4", "__OW_SNAPSHOT_TRACKER": request.param}
        record = {"__OW_SNAPSHOT_RECORD": str(tmp_path / "record")}
        running = start_runtime(folder, **(settings | record | env))
        return running.start(code)

    started.record = lambda: [json.loads(line) for line in (tmp_path / "record").read_text().splitlines()]
    return started


def again(running, value=None):
    """A request and its restore."""
    reply = running.run(value)
    assert running.ready().json()["ready"] is True
    return reply


def test_globals_of_the_module(start):
    running = start("""
kept = []
count = 0
def main(args):
    global count
    count += 1
    kept.append(count)
    return {"count": count, "kept": kept}
""")
    assert [again(running) for _ in range(5)] == [{"count": 1, "kept": [1]}] * 5
