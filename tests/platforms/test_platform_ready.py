"""A container is given back only when it says that it can take the next request."""

import os

import pytest

LAUNCHER = """#!/bin/sh
while read -r line; do
    echo '{"pid":'$$'}' >&3
    go=
    # The writer of the word before may not have closed the gate yet: its end is not a word.
    while [ -z "$go" ]; do read -r go <GATE; done
    [ "$go" = die ] && exit 1
    echo ready >&4
done
"""


@pytest.fixture
def gate(tmp_path):
    path = tmp_path / "gate"
    os.mkfifo(path)

    def word(text):
        with path.open("w") as out:
            out.write(text + "\n")

    word.path = path
    return word


def put(client, gate):
    client.put_action("held", image="ready", code=LAUNCHER.replace("GATE", str(gate.path)))


def phases(client):
    return [c.phase for c in client.stats().containers if c.action == "held"]


def test_the_record_tells_how_long_the_container_was_busy_after_its_reply(client, gate):
    put(client, gate)
    found = client.invoke("held")
    assert found.busy_after_ns is None
    assert phases(client) == ["settling"]
    gate("go")
    record = client.activation(found.id)
    assert record.busy_after_ns > 0
    assert record.ready_after_ns >= record.busy_after_ns // 2
    assert phases(client) == ["idle"]


def test_a_request_during_the_restore_waits_for_it(client, gate):
    put(client, gate)
    first = client.invoke("held")
    later = client.invoke_async("held")
    assert phases(client) == ["settling"]  # bound to it, not inside
    assert client.stats().pool["queued"] == 0
    gate("go")
    client.activation(first.id)  # complete once ready: the first reader of the gate is gone
    gate("go")
    second = client.activation(later)
    assert second.container_id == first.container_id
    assert second.start_kind == "warm"
    assert second.wait_ns > 0


def test_a_request_bound_to_a_container_whose_restore_fails_runs_elsewhere(client, gate):
    put(client, gate)
    first = client.invoke("held")
    later = client.invoke_async("held")
    gate("die")
    client.activation(first.id)
    gate("go")
    second = client.activation(later)
    assert second.success
    assert second.resent == 1
    assert second.container_id != first.container_id
    assert client.activation(first.id).retired != ""


def test_one_sequential_client_keeps_one_container(client):
    client.put_action("echo", code="def main(args):\n    print('noise')\n    return args\n")
    found = [client.invoke("echo", {"i": i}) for i in range(50)]
    assert [f.result["i"] for f in found] == list(range(50))
    assert len({f.container_id for f in found}) == 1
    assert [f.start_kind for f in found] == ["cold", *["warm"] * 49]
    record = client.activation(found[-1].id)
    assert [line.split(" ", 1)[1] for line in record.logs] == ["stdout: noise"]
    assert record.pool["busy"] == 1
