"""The real images on a real Docker daemon, under the system call filter."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

import docker
import httpx
import pytest

from bench.build.images import image_set, images_step
from bench.build.step import ensure
from bench.paths import RUNTIMES
from bench.plugins import schemes, workloads

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

EPERM, ENOSYS = 1, 38
FILTER = (RUNTIMES / "common" / "seccomp.json").read_text()
CALLS = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def main(args):
    replies = {}
    for name, call in args["calls"].items():
        ctypes.set_errno(0)
        done = libc.syscall(*map(ctypes.c_ulong, call))
        replies[name] = ctypes.get_errno() if done == -1 else 0
    return replies
"""
#: Calls with arguments that Docker's default filter denies too, whatever the kernel.
DENIED = {
    "unshare": [272, 1 << 28],
    "mount": [165, 0, 0, 0, 0, 0],
    "umount2": [166, 0, 0],
    "keyctl": [250, 0, 0],
    "add_key": [248, 0, 0, 0, 0, 0],
    "bpf": [321, 0, 0, 0],
    "userfaultfd": [323, 0],
    "setns": [308, 0, 0],
    "kcmp": [312, 0, 0, 0, 0, 0],
    "pivot_root": [155, 0, 0],
    "open_by_handle_at": [304, 0, 0, 0],
    "perf_event_open": [298, 0, 0, 0, 0, 0],
    "personality": [135, 0x40000],
    "clone newuser": [56, 1 << 28, 0, 0, 0, 0],
}


@contextlib.contextmanager
def container(client, image: str, filter_text: str = FILTER) -> Iterator[str]:
    """Run an image as the platform does, with its port on 127.0.0.1; yields the URL."""
    options = [f"seccomp={filter_text}"] if filter_text else []
    running = client.containers.run(
        image,
        detach=True,
        ports={"8080/tcp": ("127.0.0.1", None)},
        security_opt=options,
        labels={"rewind-bench": "1"},
        mem_limit="256m",
        pids_limit=1024,
        cap_drop=["NET_RAW", "NET_ADMIN"],
    )
    try:
        running.reload()
        port = running.ports["8080/tcp"][0]["HostPort"]
        yield f"http://127.0.0.1:{port}"
    finally:
        running.remove(force=True)


def post(url: str, body: object) -> httpx.Response:
    deadline = time.monotonic() + 30
    while True:  # refused until the proxy listens, as for the platform
        try:
            return httpx.post(url, content=json.dumps(body).encode(), timeout=60, trust_env=False)
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def started(url: str, code: str) -> str:
    answer = post(f"{url}/init", {"value": {"main": "main", "code": code}})
    assert answer.json() == {"ok": True}
    return url


def run(url: str, **value: object):
    answer = post(f"{url}/run", {"value": value})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def client():
    with contextlib.closing(docker.from_env()) as found:
        yield found


@pytest.fixture(scope="module", params=["nobody", "root"])
def images(request, client):
    """All images of one launcher user, loaded."""
    step = images_step(schemes().values(), workloads().values(), launcher_user=request.param)
    made = image_set(ensure(step))
    with made.archive.open("rb") as archive:
        client.images.load(archive)
    return request.param, made


def test_docker_has_the_images_under_their_ids(client, images):
    for info in images[1].images.values():
        found = client.images.get(info.reference)
        assert found.id == f"sha256:{info.id}"
        assert found.labels["rewind-bench.image"] == "1"
        assert found.attrs["Size"] < 300e6


@pytest.mark.parametrize("scheme", ["baseline", "fork"])
def test_launcher_user(client, images, scheme):
    user, made = images
    code = """
import os
def attempt(path):
    try:
        with open(path, "a"): return True
    except OSError: return False
def main(args):
    here = os.path.join(os.getcwd(), "main__.py")
    return {"uid": os.getuid(), "own": attempt(here), "proxy": attempt("/usr/lib/rewind-bench/settings"),
            "tmp": attempt("/tmp/x"), "shm": attempt("/dev/shm/x"), "readable": os.access(here, os.R_OK)}
"""
    with container(client, made.reference(scheme)) as url:
        found = run(started(url, code))
    root = user == "root"
    assert found == {
        "uid": 0 if root else 65534,
        "own": root,
        "proxy": root,
        "tmp": True,
        "shm": True,
        "readable": True,
    }


def test_filter_denies_what_dockers_own_denies(client, images):
    _, made = images
    for text in ("", FILTER):
        with container(client, made.reference("baseline"), text) as url:
            errors = run(started(url, CALLS), calls=DENIED)
        assert errors == dict.fromkeys(DENIED, EPERM)


def test_filter_lets_new_calls_reach_the_kernel(client, images):
    _, made = images
    with container(client, made.reference("baseline")) as url:
        errors = run(
            started(url, CALLS),
            calls={
                "checkpoint": [548, 0, 0],
                "clone3": [435, 0, 0],
                "query": [135, 0xFFFFFFFF],
                "getpid": [39],
            },
        )
    assert errors == {"checkpoint": ENOSYS, "clone3": ENOSYS, "query": 0, "getpid": 0}


def test_filter_lets_the_snapshot_have_faults_of_user_mode(client, images):
    _, made = images
    with container(client, made.reference("baseline")) as url:
        errors = run(started(url, CALLS), calls={"any fault": [323, 0], "user mode": [323, 1]})
    assert errors == {"any fault": EPERM, "user mode": 0}


def test_packages_and_data_of_the_workloads(client, images):
    _, made = images
    code = """
import importlib, os, ssl, sqlite3, ctypes, lzma, bz2, zlib
def main(args):
    for name in args["modules"]: importlib.import_module(name)
    import numpy
    compiled = os.path.exists(numpy.__cached__)
    return {"data": sorted(os.listdir("/usr/share/rewind-bench/data")), "compiled": compiled,
            "threads": len(os.listdir("/proc/self/task"))}
"""
    with container(client, made.reference("fork")) as url:
        found = run(started(url, code), modules=["numpy", "igraph", "PIL.Image", "chameleon"])
    recipes = sorted(w.name for w in workloads().values() if (w.folder / "data.py").is_file())
    assert found == {"data": recipes, "compiled": True, "threads": 1}


def test_orphans_do_not_become_zombies(client, images):
    _, made = images
    code = """
import os
def main(args):
    if os.fork() == 0:
        os.fork()
        os._exit(0)
    os.wait()
    states = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file: states.append(file.read().rpartition(")")[2].split()[0])
        except OSError:  # reaped since
            pass
    return {"zombies": states.count("Z")}
"""
    with container(client, made.reference("baseline")) as url:
        started(url, code)
        for _ in range(5):
            run(url)
        # Some may be on their way at any moment; without a reaper there would be five and more.
        assert any(run(url)["zombies"] <= 1 for _ in range(10))


def test_stop_is_prompt(client, images):
    _, made = images
    running = client.containers.run(made.reference("baseline"), detach=True, labels={"rewind-bench": "1"})
    try:
        running.stop(timeout=20)
        assert running.wait()["StatusCode"] == 0  # its own exit, not a kill after 20 s
    finally:
        running.remove(force=True)


def test_platform_starts(client, images):
    _, made = images
    said = client.containers.run(
        made.reference("platform"), ["--help"], remove=True, labels={"rewind-bench": "1"}
    )
    assert b"--config" in said
