import json
import socket

import pytest

from bench.errors import ConfigError, PortInUseError
from bench.platforms.embedded.config import GUEST_KEY, load
from bench.platforms.embedded.server import listening


def read(tmp_path, content):
    path = tmp_path / "platform.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return load(path)


def test_the_defaults_are_the_stand_alone_servers(tmp_path):
    config = read(tmp_path, {})
    assert config.port == 3233
    assert config.auth == {"guest": GUEST_KEY}
    assert (config.throttles.invocations_per_minute, config.throttles.concurrent_invocations) == (60, 30)
    assert (config.limits.min_memory_mb, config.limits.std_memory_mb, config.limits.max_memory_mb) == (
        128,
        256,
        512,
    )


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"prot": 1}, "prot"),
        ({"port": "x"}, "port"),
        ({"containers": {"adress": "published"}}, "adress"),
        ("{", "platform.json"),
    ],
)
def test_faults_are_named(tmp_path, content, named):
    with pytest.raises(ConfigError, match=named):
        read(tmp_path, content)


def test_all_faults_of_meaning_are_told_at_once(tmp_path):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, {"port": 70000, "auth": {"a": "b"}, "stem_cells": [{"kind": "k", "count": 1}]})
    assert len(caught.value.problems) == 3


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.json"):
        load(tmp_path / "nowhere.json")


def test_a_port_in_use_is_told_clearly():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=str(port)) as caught:
            listening("127.0.0.1", port)
        assert str(port) in caught.value.hint
