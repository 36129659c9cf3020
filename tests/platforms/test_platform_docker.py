"""The platform with real containers of this machine's Docker daemon."""

import contextlib
import os
import signal
import sys
import threading

import docker
import docker_image
import msgspec
import pytest

from bench import process
from bench.errors import DockerError
from bench.hosts.base import Address
from bench.paths import ROOT
from bench.platforms.client import Client
from bench.platforms.deploy import deploy, local_platform
from bench.platforms.embedded.config import GUEST_KEY, Config, Containers, Kind, Throttles
from bench.platforms.settings import PlatformSettings

pytestmark = pytest.mark.docker
RUN = "platform-tests"
MANY = Throttles(invocations_per_minute=10**9, concurrent_invocations=10**6)
ECHO = "def main(args):\n    print('seen')\n    return args\n"


@pytest.fixture(scope="module")
def daemon():
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="module")
def image(daemon, proxy):
    return docker_image.load(daemon, proxy)


def config(image, **changes):
    usual = {
        "port": 0,
        "throttles": MANY,
        "kinds": {"python:3": Kind(image=image)},
        "containers": Containers(address="published", labels={"rewind-bench": RUN}),
    }
    return Config(**{**usual, **changes})


def ours(daemon, port):
    label = f"rewind-bench.platform-port={port}"
    return daemon.containers.list(all=True, filters={"label": label}, ignore_removed=True)


@pytest.fixture(scope="module")
def platform(image, tmp_path_factory):
    with local_platform(config(image), tmp_path_factory.mktemp("platform")) as deployed:
        yield deployed


@pytest.fixture
def client(platform):
    with platform.endpoint.client() as made:
        yield made
        for name in made.actions():
            made.delete_action(name)


def test_one_sequential_client_keeps_one_container(client, daemon):
    client.put_action("echo", code=ECHO)
    found = [client.invoke("echo", {"i": i}) for i in range(20)]
    assert [f.result["i"] for f in found] == list(range(20))
    assert len({f.container_id for f in found}) == 1
    record = client.activation(found[-1].id)
    assert [line.split(" ", 1)[1] for line in record.logs] == ["stdout: seen"]


def test_containers_are_made_as_openwhisk_makes_them(client, daemon, platform):
    client.put_action("echo", code=ECHO, memory_mb=128)
    container = daemon.containers.get(client.invoke("echo").container_id)
    assert container.name.startswith(f"wsk{platform.address.port}_")
    assert container.name.endswith("_guest_echo")
    assert container.labels["rewind-bench"] == RUN
    how = container.attrs["HostConfig"]
    assert how["Memory"] == how["MemorySwap"] == 128 * 1024 * 1024
    assert how["CpuShares"] == 1024 * 128 // 2048
    assert how["PidsLimit"] == 1024
    assert set(how["CapDrop"]) == {"NET_RAW", "NET_ADMIN"}
    assert how["Ulimits"] == [{"Name": "nofile", "Soft": 1024, "Hard": 1024}]
    assert how["RestartPolicy"]["Name"] in ("", "no")
    (bound,) = how["PortBindings"]["8080/tcp"]
    assert bound["HostIp"] == "127.0.0.1"


def test_out_of_memory(client):
    client.put_action(
        "eats", code="def main(a):\n    return {'n': len(bytearray(400 << 20))}\n", memory_mb=128
    )
    found = client.invoke("eats")
    assert found.status == "action developer error"
    assert found.result == {"error": "The action exhausted its memory and was aborted."}


def test_an_image_that_does_not_exist(client):
    client.put_action("none", image="rewind-bench-test/absent:1", code=ECHO)
    found = client.invoke("none")
    assert found.status == "action developer error"
    assert found.result == {"error": "Failed to pull container image 'rewind-bench-test/absent:1'."}


def test_an_image_that_does_not_start(client, daemon, image, platform):
    name = f"{image}-bad"
    made = daemon.api.create_container(image, labels={"rewind-bench": RUN})
    repository, _, tag = name.partition(":")
    daemon.api.commit(made["Id"], repository, tag, conf={"Cmd": ["/no/such/program"]})
    daemon.api.remove_container(made["Id"])
    try:
        client.put_action("bad", image=name, code=ECHO)
        found = client.invoke("bad")
        assert found.status == "whisk internal error"
        assert found.result == {"error": "Failed to provision resources to run the action."}
        assert "/no/such/program" in platform.logs()
        assert [c for c in ours(daemon, platform.address.port) if c.name.endswith("_bad")] == []
    finally:
        daemon.images.remove(name)


def test_a_container_killed_in_the_middle_of_a_request(client, daemon):
    client.put_action("sleeps", code="import time\ndef main(a):\n    time.sleep(60)\n")
    found = []
    caller = threading.Thread(target=lambda: found.append(client.invoke("sleeps")))
    caller.start()
    held = None
    while held is None:
        held = next((c for c in client.stats().containers if c.action == "sleeps"), None)
    with contextlib.suppress(docker.errors.APIError):
        daemon.containers.get(held.id).kill()
    caller.join(60)
    assert found[0].status == "action developer error"


def test_cpu_pinning(image, daemon, tmp_path):
    cores = sorted(os.sched_getaffinity(0))[:2]
    pinned = Containers(address="published", labels={"rewind-bench": RUN}, cpuset=cores)
    with local_platform(config(image, containers=pinned), tmp_path) as up, up.endpoint.client() as client:
        for name in ("a", "b"):
            client.put_action(name, code=ECHO)
            client.invoke(name)
        used = {c.attrs["HostConfig"]["CpusetCpus"] for c in ours(daemon, up.address.port)}
        assert used == {str(core) for core in cores}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_no_container_is_left_at_the_end(image, daemon, tmp_path, number):
    port = start(config(image), tmp_path)
    with port as (child, address), client_of(address) as client:
        client.put_action("echo", code=ECHO)
        client.invoke("echo")
        client.invoke_async("echo", {"wait": 1})
        assert ours(daemon, address.port)
        child.send_signal(number)
        assert child.wait(60) == 0
        assert ours(daemon, address.port) == []


def test_what_a_killed_platform_left_is_removed_at_the_next_start(image, daemon, tmp_path):
    with start(config(image), tmp_path) as (child, address), client_of(address) as client:
        client.put_action("echo", code=ECHO)
        client.invoke("echo")
        child.kill()
        child.wait()
    assert ours(daemon, address.port)
    again = config(image, port=address.port)
    with start(again, tmp_path) as (child, address), client_of(address) as client:
        assert ours(daemon, address.port) == []
        client.put_action("echo", code=ECHO)
        assert client.invoke("echo").success
        child.terminate()
        child.wait(60)
    assert ours(daemon, address.port) == []


def test_no_docker_daemon(image, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(DockerError, match=r"nobody\.sock") as caught, local_platform(config(image), tmp_path):
        pass
    assert "DOCKER_HOST" in caught.value.hint


class ThisMachine:
    """The least of a Host that a platform on the harness's own machine needs."""

    name = "local"
    container_network = False

    def forward(self, port):
        return contextlib.nullcontext(Address("127.0.0.1", port))


def test_deploy_here(image, daemon, tmp_path):
    settings = PlatformSettings(kinds={"python:3": image})
    log = tmp_path / "logs" / "platform.log"
    with deploy(ThisMachine(), settings, None, RUN, log=log) as up, up.endpoint.client() as client:
        client.put_action("echo", code=ECHO)
        found = client.invoke("echo", {"x": 1})
        assert found.result == {"x": 1}
        assert daemon.containers.get(found.container_id).labels["rewind-bench"] == RUN
    assert ours(daemon, up.address.port) == []
    assert "listening on" in log.read_text()
    assert "listening on" in up.logs()


@contextlib.contextmanager
def start(settings, folder):
    """A platform process that the test itself ends."""
    port_file, file = folder / "port", folder / "c.json"
    port_file.unlink(missing_ok=True)
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(settings, port_file=str(port_file))))
    argv = [sys.executable, "-m", "bench.platforms.embedded", "--config", str(file)]
    child = process.start(argv, log=folder / "log", cwd=ROOT)
    try:
        while not port_file.exists():
            assert child.poll() is None, (folder / "log").read_text()
        yield child, Address("127.0.0.1", int(port_file.read_text()))
    finally:
        process.kill_group(child, grace_s=60)


def client_of(address):
    return Client(f"{address.host}:{address.port}", GUEST_KEY)
