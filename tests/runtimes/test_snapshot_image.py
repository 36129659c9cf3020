"""The snapshot scheme's image: under the system call filter, as either user."""

from __future__ import annotations

import contextlib
import json
import time

import docker
import httpx
import pytest

from bench.build.images import image_set, images_step
from bench.build.step import ensure
from bench.paths import RUNTIMES
from bench.plugins import schemes, workloads

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

FILTER = (RUNTIMES / "common" / "seccomp.json").read_text()
CODE = """
import json, os, random
import numpy as np
array = np.ones(1 << 18)
kept = []
def main(args):
    kept.append(args["n"])
    array[: args["n"] * 512] = 2
    with open(os.environ["__OW_SNAPSHOT_RECORD"]) as file:
        tracker = json.loads(file.readline())["tracker"]
    return {"kept": kept, "sum": float(array.sum()), "uid": os.getuid(), "random": random.random(),
            "tracker": tracker}
"""


@pytest.fixture(scope="module", params=["nobody", "root"])
def image(request):
    step = images_step([schemes()["snapshot"]], workloads().values(), launcher_user=request.param)
    made = image_set(ensure(step))
    with contextlib.closing(docker.from_env()) as client:
        with made.archive.open("rb") as archive:
            client.images.load(archive)
        yield client, made.reference("snapshot"), request.param


@contextlib.contextmanager
def container(client, reference):
    running = client.containers.run(
        reference,
        detach=True,
        environment={"__OW_SNAPSHOT_RECORD": "/tmp/record"},
        ports={"8080/tcp": ("127.0.0.1", None)},
        security_opt=[f"seccomp={FILTER}"],
        labels={"rewind-bench": "1"},
        mem_limit="256m",
        pids_limit=1024,
        cap_drop=["NET_RAW", "NET_ADMIN"],
    )
    try:
        running.reload()
        yield f"http://127.0.0.1:{running.ports['8080/tcp'][0]['HostPort']}"
    finally:
        running.remove(force=True)


def post(url, body):
    deadline = time.monotonic() + 30
    while True:  # refused until the proxy listens, as for the platform
        try:
            return httpx.post(url, content=json.dumps(body).encode(), timeout=60, trust_env=False)
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_isolates_in_a_container(image):
    client, reference, user = image
    with container(client, reference) as url:
        answer = post(f"{url}/init", {"value": {"main": "main", "code": CODE}})
        assert answer.json() == {"ok": True}
        drawn = set()
        for n in range(1, 30):
            reply = post(f"{url}/run", {"value": {"n": n}}).json()
            assert reply["kept"] == [n]
            assert reply["sum"] == (1 << 18) + 512 * n
            assert reply["uid"] == (0 if user == "root" else 65534)
            drawn.add(reply["random"])
            ready = httpx.get(f"{url}/ready", timeout=60, trust_env=False).json()
            assert ready["ready"] is True
            assert ready["busy_ns"] > 0
        assert len(drawn) == 29
