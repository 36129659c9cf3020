"""A platform for tests: the real action proxy as plain processes, with the tests' launcher."""

from pathlib import Path

from bench.build.proxy import BINARY_NAME, proxy_step
from bench.build.step import ensure
from bench.platforms.embedded.config import Config, Kind, ProcessImage, Throttles

COMPILE = Path(__file__).parent / "image" / "compile"
MANY = Throttles(invocations_per_minute=10**9, concurrent_invocations=10**6)


def proxy_binary():
    """The action proxy, built as for every image."""
    return ensure(proxy_step()).file(BINARY_NAME)


def process_image(proxy, **env):
    """The proxy as Apache's Python image sets it up."""
    fixed = {"OW_COMPILER": str(COMPILE), "OW_LOG_INIT_ERROR": "1", "__OW_WAIT_FOR_ACK": "1"}
    argv = [str(proxy), "-listen", "127.0.0.1:{port}", "-actions", "{dir}/action"]
    return ProcessImage(argv=argv, env={**fixed, **env})


def config(proxy, **changes):
    """Settings of a platform of plain processes on any free port."""
    usual = {
        "port": 0,
        "driver": "process",
        "processes": {"py": process_image(proxy)},
        "kinds": {"python:3": Kind(image="py")},
        "throttles": MANY,
    }
    return Config(**{**usual, **changes})
