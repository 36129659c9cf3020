"""Start, end and restart of a platform of plain processes."""

import os
import signal
import socket
import sys
import threading

import msgspec
import psutil
import pytest

from bench import process
from bench.errors import BenchError, PlatformError, PortInUseError
from bench.platforms.client import Client
from bench.platforms.deploy import local_platform
from bench.platforms.embedded.config import Limits, StemCell, Throttles

pytestmark = pytest.mark.slow

CODE = "def main(args):\n    return args\n"


def test_actions_and_activations_survive_a_restart(settings, tmp_path):
    config = settings(database=str(tmp_path / "db"))
    with local_platform(config, tmp_path) as one, one.endpoint.client() as client:
        client.put_action("kept", code=CODE)
        made = client.invoke("kept", {"n": 1}).id
    with local_platform(config, tmp_path) as two, two.endpoint.client() as client:
        assert client.actions() == ["kept"]
        assert client.activation(made).result == {"n": 1}
        assert client.invoke("kept", {"n": 2}).result == {"n": 2}


def test_no_process_is_left_when_the_platform_ends(settings, tmp_path):
    with local_platform(settings(), tmp_path) as deployed, deployed.endpoint.client() as client:
        client.put_action("a", code=CODE)
        pid = int(client.invoke("a").container_id.removeprefix("process-"))
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)


def test_a_taken_port_is_a_typed_error(settings, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = settings(port=taken.getsockname()[1])
        with pytest.raises(PortInUseError, match=str(config.port)), local_platform(config, tmp_path):
            pass


def test_a_bad_setting_is_a_typed_error(settings, tmp_path):
    config = settings(stem_cells=[StemCell(kind="cobol", count=1)])
    with pytest.raises(BenchError, match="cobol"), local_platform(config, tmp_path):
        pass


def test_calls_to_a_platform_that_ended_are_typed_errors(settings, tmp_path):
    with local_platform(settings(), tmp_path) as deployed:
        client = deployed.endpoint.client()
    with client, pytest.raises(PlatformError):
        client.invoke("a")
    assert "listening on" in deployed.logs()


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    with Client(f"127.0.0.1:{port}", "a:b") as client, pytest.raises(PlatformError):
        client.wait_ready(0.2)


def test_throttles_hold_and_say_so(settings, tmp_path):
    config = settings(throttles=Throttles(invocations_per_minute=10**6, concurrent_invocations=1))
    with local_platform(config, tmp_path) as deployed, deployed.endpoint.client() as client:
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        client.put_action("held", code=f"def main(a):\n    return {{'w': open({str(gate)!r}).read()}}\n")
        first = client.invoke_async("held")
        with pytest.raises(PlatformError, match=r"429 Too many concurrent requests in flight") as caught:
            client.invoke("held")
        assert "throttles" in caught.value.hint
        gate.write_text("go")
        assert client.activation(first).result == {"w": "go"}
        assert client.limits().concurrent_invocations == 1


def test_a_full_pool_queues_and_evicts(settings, tmp_path):
    config = settings(user_memory_mb=256, limits=Limits())
    with local_platform(config, tmp_path) as deployed, deployed.endpoint.client() as client:
        for name in ("a", "b"):
            client.put_action(name, code=CODE, memory_mb=256)
        callers = [
            threading.Thread(target=client.invoke, args=(name, {"i": i}))
            for i in range(5)
            for name in ("a", "b")
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        records = client.activations()
        assert len(records) == 10
        assert all(r.success for r in records)
        assert all(r.pool["usedMb"] <= 256 for r in records)
        assert client.stats().counters["removed: evicted"] >= 1


def test_prewarmed_containers_are_used(settings, tmp_path):
    config = settings(stem_cells=[StemCell(kind="python:3", count=1, memory_mb=256)])
    with local_platform(config, tmp_path) as deployed, deployed.endpoint.client() as client:
        while client.stats().pool["prewarmed"] == 0:
            pass
        client.put_action("a", code=CODE, memory_mb=256)
        assert client.invoke("a").start_kind == "prewarmed"


def test_paused_containers_go_on(settings, tmp_path):
    config = settings(pause_grace_ms=0)
    with local_platform(config, tmp_path) as deployed, deployed.endpoint.client() as client:
        client.put_action("a", code=CODE)
        pid = int(client.invoke("a").container_id.removeprefix("process-"))
        while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
            pass
        assert client.invoke("a", {"again": 1}).result == {"again": 1}
        assert client.invoke("a").start_kind == "warm"


def test_idle_containers_are_removed(settings, tmp_path):
    config = settings(idle_timeout_ms=1)
    with local_platform(config, tmp_path) as deployed, deployed.endpoint.client() as client:
        client.put_action("a", code=CODE)
        client.invoke("a")
        while client.stats().containers:
            pass
        assert client.invoke("a").start_kind == "cold"


def test_the_platform_ends_with_the_process_that_started_it(settings, tmp_path):
    """As when the harness is killed."""
    script = (
        "import sys, pathlib, msgspec, time\n"
        "from bench.platforms.deploy import local_platform\n"
        "from bench.platforms.embedded.config import Config\n"
        "config = msgspec.json.decode(pathlib.Path(sys.argv[1]).read_bytes(), type=Config)\n"
        "with local_platform(config, pathlib.Path(sys.argv[2])) as d, d.endpoint.client() as c:\n"
        "    c.put_action('a', code='def main(a): return a')\n"
        "    print(c.invoke('a').container_id.removeprefix('process-'), flush=True)\n"
        "    time.sleep(600)\n"
    )
    (tmp_path / "c.json").write_bytes(msgspec.json.encode(settings()))
    (tmp_path / "p").mkdir()
    parent = process.start([sys.executable, "-c", script, str(tmp_path / "c.json"), str(tmp_path / "p")])
    action = psutil.Process(int(parent.stdout.readline()))
    (platform,) = [
        p for p in psutil.Process(parent.pid).children() if "bench.platforms.embedded" in p.cmdline()
    ]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _, alive = psutil.wait_procs([platform, action], timeout=30)
    assert not alive
