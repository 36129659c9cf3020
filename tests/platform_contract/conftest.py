"""The contract of OpenWhisk's REST interface.

pytest tests/platform_contract                                    the embedded platform
pytest tests/platform_contract --apihost http://H:3233 --auth K   any real server
"""

import sys
import time
import uuid
from pathlib import Path

import httpx
import pytest

from bench.platforms.deploy import local_platform
from bench.platforms.embedded.config import GUEST_KEY

sys.path.insert(0, str(Path(__file__).parent.parent / "platforms"))
import plain_processes

SPACE = "/api/v1/namespaces/_"
KIND = "python:3"
ECHO = "def main(args):\n    return args\n"


def pytest_addoption(parser):
    parser.addoption("--apihost", help="a server to test instead of the embedded platform")
    parser.addoption("--auth", help="its key, USER:PASSWORD; the stand-alone server's by default")


@pytest.fixture(scope="session")
def endpoint(request, tmp_path_factory):
    """(address, key) of the platform under test."""
    given = request.config.getoption("--apihost", default=None)
    if given:
        key = request.config.getoption("--auth") or GUEST_KEY
        yield (given if "://" in given else f"http://{given}"), key
        return
    folder = tmp_path_factory.mktemp("platform")
    settings = plain_processes.config(plain_processes.proxy_binary(), database=str(folder / "platform.db"))
    with local_platform(settings, folder) as deployed:
        yield deployed.endpoint.api_host, deployed.endpoint.auth


class Api:
    """Plain REST calls; waits where a real server's throttle asks for it."""

    def __init__(self, address, key):
        self.address, self.key = address, key
        self.http = httpx.Client(base_url=address, auth=tuple(key.split(":")), timeout=90, trust_env=False)
        self.made = []

    def __call__(self, method, path, **kwargs):
        while True:
            answer = self.http.request(method, path if path.startswith("/") else f"{SPACE}/{path}", **kwargs)
            if answer.status_code != 429:
                return answer
            time.sleep(61 - time.time() % 60)

    def put(self, code=ECHO, *, name=None, overwrite="false", kind=KIND, main=None, **body):
        name = name or f"contract-{uuid.uuid4().hex[:8]}"
        spec = {"kind": kind, "code": code, **({"main": main} if main else {})}
        answer = self("PUT", f"actions/{name}?overwrite={overwrite}", json={"exec": spec, **body})
        assert answer.status_code == 200, answer.text
        self.made.append(name)
        return name

    def call(self, name, params=None, query="blocking=true", **kwargs):
        kwargs = kwargs or {"json": params or {}}
        return self("POST", f"actions/{name}?{query}", **kwargs)

    def record(self, activation_id):
        end = time.monotonic() + 30
        while True:
            answer = self("GET", f"activations/{activation_id}")
            if answer.status_code == 200 or time.monotonic() > end:
                assert answer.status_code == 200, answer.text
                return answer.json()
            time.sleep(0.2)


@pytest.fixture
def api(endpoint):
    made = Api(*endpoint)
    yield made
    for name in made.made:
        made("DELETE", f"actions/{name}")
    made.http.close()


@pytest.fixture(scope="session")
def echo(endpoint):
    """An action that answers with its argument."""
    made = Api(*endpoint)
    name = made.put()
    yield name
    made("DELETE", f"actions/{name}")
    made.http.close()
