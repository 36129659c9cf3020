"""The schemes on the REWIND kernel, in containers of the guest that has it."""

from __future__ import annotations

import contextlib
import json
import random
import time

import fault_trial
import httpx
import pytest
from fault_checks import summary

from bench.build.all import ImageSource, build_all, guest_steps
from bench.build.images import ARCHIVE_NAME, image_set, images_step
from bench.build.step import ensure
from bench.hosts.vm import boot
from bench.paths import RUNTIMES
from bench.platforms.embedded.own_socket import INSIDE
from bench.platforms.services import FOLDER, running
from bench.plugins import schemes, workloads

pytestmark = [pytest.mark.vm, pytest.mark.timeout(2400)]

FILTER = (RUNTIMES / "common" / "seccomp.json").read_text()
OURS = "/usr/lib/rewind-bench"
SERVICE = "rewind/service"
#: Leaves traces of every kind and tells what it finds of earlier ones.
CODE = """
import os, random, ssl
import numpy as np
kept, count = [], 0
def main(args):
    global count
    count += 1
    kept.append(args["n"])
    found = {"kept": kept, "count": count, "uid": os.getuid(), "cwd": os.getcwd(), "umask": os.umask(0o77),
             "environment": os.environ.get("SECRET"), "files": sorted(os.listdir("/tmp")),
             "shared": sorted(os.listdir("/dev/shm")), "open": len(os.listdir("/proc/self/fd")),
             "random": random.random(), "numpy": float(np.random.random()), "ssl": ssl.RAND_bytes(8).hex()}
    os.environ["SECRET"] = str(args["n"])
    os.chdir("/tmp")
    os.open("/tmp", os.O_RDONLY)
    open(f"/tmp/secret-{args['n']}", "w").write("x")
    open(f"/dev/shm/secret-{args['n']}", "w").write("x")
    exec(args.get("harm", ""))
    return found
"""
RANDOM = ("random", "numpy", "ssl")


class Guest:
    """The booted guest, its images, and containers in it as the platform makes them."""

    def __init__(self, host, images) -> None:
        self.host = host
        self.client = host.docker()
        self.images = images

    @contextlib.contextmanager
    def container(self, scheme, *, user="nobody", options=(f"seccomp={FILTER}",), **more):
        settings = f"/run/rewind-bench/settings-{user}"
        numbers = {"nobody": "65534", "root": "root"}
        self.host.put(f"python=/usr/bin/python3.11\nlauncher_user={numbers[user]}\n".encode(), settings)
        mounted = {f"{FOLDER}/socket": INSIDE, settings: f"{OURS}/settings"} | more.pop("mounts", {})
        made = self.client.containers.run(
            self.images.reference(scheme),
            detach=True,
            ports={"8080/tcp": ("127.0.0.1", None)},
            security_opt=list(options),
            labels={"rewind-bench": "1"},
            mem_limit="256m",
            cap_drop=["NET_RAW", "NET_ADMIN"],
            volumes={path: {"bind": inside, "mode": "ro"} for path, inside in mounted.items()},
            **more,
        )
        try:
            made.reload()
            port = int(made.ports["8080/tcp"][0]["HostPort"])
            with self.host.forward(port) as address:
                yield Running(f"http://{address.host}:{address.port}", made)
        finally:
            made.remove(force=True)


class Running:
    """A container's proxy."""

    def __init__(self, url, container) -> None:
        self.url = url
        self.container = container

    def post(self, path, value):
        deadline = time.monotonic() + 120
        while True:  # refused until the proxy listens, as for the platform
            try:
                body = json.dumps({"value": value}).encode()
                return httpx.post(self.url + path, content=body, timeout=120, trust_env=False)
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.1)

    def init(self, code=CODE):
        return self.post("/init", {"main": "main", "code": code})

    def started(self, code=CODE):
        answer = self.init(code)
        assert answer.status_code == 200, answer.text
        return self

    def run(self, **value):
        answer = self.post("/run", value)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ready(self):
        return httpx.get(self.url + "/ready", timeout=120, trust_env=False)

    def await_ready(self):
        answer = self.ready()
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def guest():
    step = images_step(schemes().values(), workloads().values())
    steps = guest_steps({"images": ImageSource(step, ARCHIVE_NAME)})
    build_all(steps.all())
    with boot(steps.guest(memory_mb=3072), label="tests") as host:
        yield Guest(host, image_set(ensure(step)))


@pytest.fixture(scope="module")
def service(guest):
    with running(guest.host, SERVICE, guest.images.reference("rewind"), "tests") as container:
        yield container


@pytest.mark.parametrize("user", ["nobody", "root"])
@pytest.mark.parametrize("scheme", ["rewind-mem", "rewind"])
def test_a_request_finds_nothing_of_earlier_ones(guest, service, scheme, user):
    replies = []
    with guest.container(scheme, user=user) as running_one:
        running_one.started()
        for n in range(8):
            replies.append(running_one.run(n=n))
            running_one.await_ready()
    assert {reply["uid"] for reply in replies} == {0 if user == "root" else 65534}
    assert [(reply["count"], reply["kept"]) for reply in replies] == [(1, [n]) for n in range(8)]
    for name in RANDOM:
        assert len({reply[name] for reply in replies}) == 8
    same = ("cwd", "umask", "environment", "open", *(("files", "shared") if scheme == "rewind" else ()))
    assert all(reply[name] == replies[0][name] for reply in replies for name in same)


def test_parts_of_a_restore_are_told(guest, service):
    with guest.container("rewind-profile") as running_one:
        running_one.started().run(n=1)
        told = running_one.await_ready()
    parts = ("rendezvous_ns", "vma_ns", "pages_ns", "regions_ns", "files_ns", "flush_ns")
    figures = told["restore"]
    assert figures["generation"] == 1
    assert 0 < sum(figures[name] for name in parts) <= figures["rewind_ns"] < told["busy_ns"]
    assert 0 < figures["file_reset_ns"] < told["busy_ns"]
    assert figures["file_entries"] >= 2  # /tmp/secret-1, /dev/shm/secret-1
    assert figures["checkpoint_ns"] > 0


def test_a_declared_call_comes_before_the_checkpoint(guest, service):
    """And before every request: it is there in each generation, once."""
    with guest.container("rewind-warm") as running_one:
        running_one.started("WARM_UP = {'n': 'nobody'}\n" + CODE)
        for n in range(3):
            assert running_one.run(n=n)["kept"] == ["nobody", n]
            running_one.await_ready()


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("import mmap; globals()['m'] = mmap.mmap(-1, 4096)", None),  # a new shared mapping goes
        ("import subprocess; subprocess.Popen('sleep 100 & setsid sleep 100 &', shell=True)", None),
        ("import ctypes; ctypes.CDLL(None).prctl(8, 1)", "keep"),  # PR_SET_KEEPCAPS
        ("import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)", "rewind: Operation not supported"),
    ],
)
def test_what_cannot_be_restored_retires_the_container(guest, service, harm, reason):
    with guest.container("rewind") as running_one:
        running_one.started().run(n=1, harm=harm)
        answer = running_one.ready()
        if reason is None:
            assert answer.json().get("ready") is True, answer.text
            assert running_one.run(n=2)["kept"] == [2]
            return
        assert answer.status_code == 503
        assert running_one.post("/run", {"n": 2}).status_code == 500


def test_too_many_new_files_retire_the_container_and_the_service_lives(guest, service):
    harm = "for n in range(21000): os.close(os.open(f'/dev/shm/{n}', os.O_CREAT, 0o600))"
    with guest.container("rewind") as hostile, guest.container("rewind") as other:
        other.started()
        hostile.started().run(n=1, harm=harm)
        answer = hostile.ready()
        assert answer.status_code == 503
        assert "more than 20000 entries" in answer.text
        assert hostile.post("/run", {"n": 2}).status_code == 500
        assert [other.run(n=n)["files"] for n in range(3)] == [other.run(n=3)["files"]] * 3


def test_the_service_is_killed_and_comes_back(guest, service):
    with guest.container("rewind") as running_one:
        before = running_one.started().run(n=1)
        running_one.await_ready()
        service.kill()
        service.start()
        for n in range(3):
            reply = running_one.run(n=n)
            assert (reply["files"], reply["kept"]) == (before["files"], [n])
            running_one.await_ready()


#: Takes a checkpoint of its own, answers, and claims to be ready without a rewind.
FORGER = """
import ctypes, json, os
def main(args):
    own = ctypes.CDLL(None).syscall(548, 0)
    os.write(3, json.dumps({"own": own}).encode() + b"\\n")
    os.write(4, b"ready\\n")
    os.read(0, 1 << 16)
    os.write(3, b'{"secret": "of the last request"}\\n')
    os.write(4, b"ready\\n")
    os.read(0, 1 << 16)
"""


@pytest.mark.parametrize("user", ["nobody", "root"])
def test_a_restore_that_the_request_made_up_is_not_believed(guest, user):
    with guest.container("rewind-mem", user=user) as running_one:
        assert running_one.started(FORGER).run() == {"own": -1}
        answer = running_one.ready()
        assert answer.status_code == 503
        assert "was not restored (generation 0)" in answer.text
        assert running_one.post("/run", {}).status_code == 500


def test_parts_are_killed_at_random_moments_under_load(guest, service):
    with fault_trial.bed(guest.host, guest.images.reference("platform"), FOLDER) as bed:
        image, chance = guest.images.reference("rewind"), random.Random("rewind")
        trial = fault_trial.Trial(bed, image, chance, "faults", apart=4, cycle_s=0.5, service=service)
        print(summary(trial.run(["service", "launcher", "proxy"])))


def refused(running_one, *words):
    """A container that fails /init with these words and never serves."""
    answer = running_one.init()
    assert answer.status_code == 502
    for word in words:
        assert word in answer.json()["error"], answer.text
    assert running_one.post("/run", {"n": 1}).status_code == 500


def test_without_permission_there_is_no_checkpoint(guest):
    """Where nobody called rewindable() before the launcher was started."""
    with guest.container("rewind-mem", mounts={"/bin/true": f"{OURS}/scheme/permit"}) as running_one:
        refused(running_one, "checkpoint: Operation not permitted")


def test_switched_off(guest):
    guest.host.run(["sysctl", "vm.rewind=0"])
    try:
        with guest.container("rewind-mem") as running_one:
            refused(running_one, "rewindable: Operation not permitted", "vm.rewind")
    finally:
        guest.host.run(["sysctl", "vm.rewind=1"])


def test_under_dockers_own_filter(guest):
    with guest.container("rewind-mem", options=()) as running_one:
        refused(running_one, "rewindable: ")


def test_without_the_file_reset_service(guest, service):
    with guest.container("rewind", mounts={f"{FOLDER}/socket": "/elsewhere"}) as running_one:
        refused(running_one, "no file reset service")


def test_state_that_no_checkpoint_can_hold(guest):
    with guest.container("rewind-mem") as running_one:
        code = "import subprocess\np = subprocess.Popen(['sleep', '1000'])\ndef main(args): return {}"
        answer = running_one.init(code)
        assert answer.status_code == 502
        assert "a child is alive" in answer.json()["error"]
