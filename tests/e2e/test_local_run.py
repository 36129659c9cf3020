"""A whole run on this machine's Docker: the shortest real path through everything."""

from __future__ import annotations

import contextlib
import signal
import socket
import time

import docker
import pandas as pd
import pytest
from helpers import cells, run, start, the_run

from bench import plugins

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

SMOKE = ("run", "--testbed", "local", "--profile", "smoke")
SMALL = (*SMOKE, "--schemes", "baseline", "--workloads", "hello", "--set", "experiments.latency.requests=30")
LABEL = "rewind-bench"


def everywhere() -> set[str]:
    """The schemes that need no kernel of ours."""
    return {scheme.name for scheme in plugins.schemes().values() if not scheme.spec.needs_kernel}


def ours() -> list:
    return docker.from_env().containers.list(all=True, filters={"label": LABEL})


@pytest.fixture
def bystander():
    """A container of the user's, even of an image of ours: not to be touched."""
    client = docker.from_env()
    image = client.images.list(filters={"label": "rewind-bench.image"})[0]
    container = client.containers.run(
        image.id, name="bystander", entrypoint="sleep", command="600", detach=True
    )
    yield container
    container.remove(force=True)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """One smoke run that the tests look at."""
    out = tmp_path_factory.mktemp("runs")
    said = run(*SMOKE, "--out", str(out))
    return said, the_run(out)


def test_every_scheme_is_compared_in_a_report(smoke):
    said, folder = smoke
    assert said.status == 0, said.text
    assert f"report: {folder / 'report.html'}" in said.text
    assert "Time per stage:" in said.text
    html = (folder / "report.html").read_text()
    assert all(scheme in html for scheme in everywhere())
    assert (folder / "figures" / "latency.png").is_file()
    assert not cells(folder, "failed")


def test_every_answer_was_checked_and_right(smoke):
    _, folder = smoke
    records = cells(folder)
    assert sum(cell["wrong"] for cell in records.values()) == 0
    requests = pd.concat(pd.read_parquet(p) for p in folder.glob("cells/**/requests.parquet"))
    assert requests["ok"].all(), requests[~requests["ok"]]["error"].unique()
    assert set(requests["scheme"]) == everywhere()


def test_schemes_differ_as_they_must(smoke):
    """cold starts a container for each request, the others keep one per action."""
    _, folder = smoke
    activations = pd.concat(pd.read_parquet(p) for p in folder.glob("cells/latency/**/activations.parquet"))
    for (scheme, workload), group in activations.groupby(["scheme", "workload"]):
        expected = len(group) if scheme == "cold" else 1
        assert group["container_id"].nunique() == expected, (scheme, workload)
        assert group["cold"].sum() == expected, (scheme, workload)
    requests = pd.concat(pd.read_parquet(p) for p in folder.glob("cells/latency/**/requests.parquet"))
    steady = requests[~requests["warmup"]]
    median = (steady["end_ns"] - steady["intended_ns"]).groupby(steady["scheme"]).median()
    assert median["baseline"] < median["fork"] < median["cold"]
    assert median.idxmax() == "cold"


def test_locust_sent_what_the_containers_served(smoke):
    """Request rows come from locust's users, activations from the platform: both tell the same."""
    _, folder = smoke
    for path in folder.glob("cells/**/requests.parquet"):
        sent = set(pd.read_parquet(path)["activation_id"])
        served = set(pd.read_parquet(path.with_name("activations.parquet"))["activation_id"])
        assert sent == served
        assert "" not in sent


def test_nothing_is_left(smoke):
    assert ours() == []


def test_report_again_is_the_same_but_for_its_stamp(smoke):
    _, folder = smoke
    texts = []
    for _ in range(2):
        assert run("report", str(folder)).status == 0
        texts.append((folder / "report.html").read_text().splitlines())
    differing = [pair for pair in zip(*texts, strict=True) if pair[0] != pair[1]]
    assert len(differing) <= 1


def test_a_killed_run_is_resumed_and_cleaned(tmp_path, smoke, bystander):
    log = tmp_path / "log"
    out = tmp_path / "runs"
    harness = start(*SMALL, "--out", str(out), log=log)
    try:
        wait_for(lambda: out.is_dir() and any(out.iterdir()) and len(cells(the_run(out))) >= 1, harness)
    finally:
        harness.send_signal(signal.SIGKILL)
        harness.wait()
    folder = the_run(out)
    before = {path: (folder / "cells" / path / "cell.json").stat().st_mtime_ns for path in cells(folder)}
    assert before
    cleaned = run("clean")
    assert cleaned.status == 0
    assert ours() == []
    bystander.reload()
    assert bystander.status == "running"
    said = run(*SMALL, "--out", str(out), "--resume")
    assert said.status == 0, said.text
    assert f"going on with {folder}" in said.text
    after = cells(folder)
    assert len(after) > len(before)
    for path, mtime_ns in before.items():
        assert (folder / "cells" / path / "cell.json").stat().st_mtime_ns == mtime_ns
    assert ours() == []


def test_an_interrupt_keeps_what_is_finished_and_leaves_nothing(tmp_path, smoke):
    log, out = tmp_path / "log", tmp_path / "runs"
    harness = start(*SMALL, "--out", str(out), log=log)
    wait_for(lambda: out.is_dir() and any(out.iterdir()) and len(cells(the_run(out))) >= 1, harness)
    harness.send_signal(signal.SIGINT)
    assert harness.wait(120) == 130, log.read_text()
    assert "--resume" in log.read_text()
    assert cells(the_run(out))
    assert ours() == []


def test_a_port_in_use_is_said(tmp_path, smoke):
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = run(*SMALL, "--out", str(tmp_path), "--set", f"platform.port={port}")
    assert said.status == 12, said.text
    assert str(port) in said.text


def wait_for(condition, process, limit_s: float = 300) -> None:
    """Poll a condition; a process that ends meanwhile, or the time, fails the test."""
    end = time.monotonic() + limit_s
    while not condition():
        assert process.poll() is None, "the command ended too early"
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.1)
