"""What goes wrong in containers, and that the platform goes on."""

import os
import signal
import threading

import psutil
import pytest

DEVELOPER = "action developer error"
CODE = "def main(args):\n    return {'ok': True}\n"


def failure(client, image, name="odd", **limits):
    client.put_action(name, image=image, code=CODE, **limits)
    found = client.invoke(name)
    return found.status, found.result["error"]


@pytest.mark.parametrize(
    ("image", "status", "text"),
    [
        ("garbage", DEVELOPER, "The action did not produce a valid JSON response: <html>garbage</html>"),
        ("closes", DEVELOPER, "The action did not produce a valid response and exited unexpectedly."),
        ("ends", DEVELOPER, "The action did not initialize and exited unexpectedly."),
        ("nowhere/none:1", DEVELOPER, "Failed to pull container image 'nowhere/none:1'."),
        ("absent", DEVELOPER, "The action did not initialize and exited unexpectedly."),
    ],
)
def test_a_container_that_misbehaves(client, image, status, text):
    assert failure(client, image) == (status, text)
    client.put_action("good", code=CODE)
    assert client.invoke("good").result == {"ok": True}


def test_a_container_that_does_not_listen(client):
    status, text = failure(client, "deaf", timeout_ms=300)
    assert status == DEVELOPER
    assert text == "The action exceeded its time limits of 300 milliseconds during initialization."


def test_an_operator_sees_why_a_container_does_not_start(client, platform):
    failure(client, "ends")
    assert "no such kernel" in platform.logs()


def test_a_bad_container_is_not_used_again(client):
    failure(client, "garbage")
    stats = client.stats()
    assert [c for c in stats.containers if c.action == "odd"] == []


def test_a_container_killed_in_the_middle_of_a_request(client):
    client.put_action(
        "sleeps", code="import time, os\ndef main(a):\n    print('in it', flush=True)\n    time.sleep(60)\n"
    )
    found = []
    caller = threading.Thread(target=lambda: found.append(client.invoke("sleeps")))
    caller.start()
    with_it = None
    while with_it is None or with_it.phase != "busy":
        with_it = next((c for c in client.stats().containers if c.action == "sleeps"), None)
    os.killpg(int(with_it.id.removeprefix("process-")), signal.SIGKILL)
    caller.join(30)
    assert not caller.is_alive()
    assert found[0].status == DEVELOPER
    assert found[0].resent == 0


def test_a_container_killed_while_idle_fails_no_request(client):
    client.put_action("steady", code=CODE)
    first = client.activation(client.invoke("steady").id)
    pid = int(first.container_id.removeprefix("process-"))
    os.killpg(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=10)
    second = client.invoke("steady")
    assert second.result == {"ok": True}
    assert second.container_id != first.container_id


def test_a_launcher_that_ends_after_its_reply_fails_no_request(client):
    code = "#!/bin/sh\nread -r line; echo '{\"pid\":'$$'}' >&3\n"
    client.put_action("once", image="raw", code=code)
    first, second = client.invoke("once"), client.invoke("once")
    assert first.success
    assert second.success
    assert first.result != second.result


def test_a_request_that_waited_in_a_container_that_failed_its_restore_is_sent_once_more(client):
    client.put_action("held", image="held", code=CODE)
    first = client.invoke("held")
    before = client.stats().counters.get("resent", 0)
    second = client.invoke("held")
    assert second.success
    assert second.container_id != first.container_id
    assert second.resent == 1
    assert client.stats().counters["resent"] == before + 1


def test_an_action_that_always_ends_its_container_is_not_sent_forever(client):
    code = "import os\nn = 0\ndef main(a):\n    os._exit(1)\n"
    client.put_action("dies", code=code)
    for _ in range(3):
        found = client.invoke("dies")
        assert (found.status, found.result["error"], found.resent) == (DEVELOPER, "command exited", 0)


def test_a_container_that_does_not_confirm_is_retired(client):
    client.put_action("odd", image="refuses-ready", code=CODE)
    first = client.activation(client.invoke("odd").id)
    assert first.success
    assert first.retired == "memory was not restored"
    second = client.invoke("odd")
    assert second.success
    assert second.container_id != first.container_id


def test_cold_policy_never_uses_a_container_twice(client):
    code = "n = 0\ndef main(a):\n    global n\n    n += 1\n    return {'n': n}\n"
    client.put_action("cold", code=code, annotations={"rewind-bench-fresh": True})
    found = [client.invoke("cold") for _ in range(3)]
    assert [f.result for f in found] == [{"n": 1}] * 3
    assert len({f.container_id for f in found}) == 3
    assert all(f.cold for f in found)
    client.put_action("warm", code=code)
    assert [client.invoke("warm").result["n"] for _ in range(3)] == [1, 2, 3]
