import sys
from pathlib import Path

import plain_processes
import pytest

from bench.platforms.deploy import local_platform
from bench.platforms.embedded.config import Kind, ProcessImage

ODD = Path(__file__).parent / "odd_proxy.py"


@pytest.fixture(scope="session")
def proxy():
    """The real action proxy's binary."""
    return plain_processes.proxy_binary()


def odd(behaviour):
    """An image whose HTTP side is not our proxy, and misbehaves."""
    argv = [sys.executable, "-S", "-E", str(ODD), "{port}", behaviour]
    return ProcessImage(argv=argv)


def images(proxy):
    behaviours = ("garbage", "closes", "held", "refuses-ready", "good", "deaf")
    return {
        "py": plain_processes.process_image(proxy),
        "raw": plain_processes.process_image(proxy, OW_COMPILER="", __OW_WAIT_FOR_ACK=""),
        "ready": plain_processes.process_image(
            proxy, OW_COMPILER="", __OW_WAIT_FOR_ACK="", __OW_READY_FD="4"
        ),
        "ends": ProcessImage(argv=[sys.executable, "-c", "import sys; sys.exit('no such kernel')"]),
        "absent": ProcessImage(argv=["/nonexistent/proxy"]),
        **{name: odd(name) for name in behaviours},
    }


@pytest.fixture
def settings(proxy):
    """Makes a platform's configuration."""

    def make(**changes):
        return plain_processes.config(proxy, processes=images(proxy), **changes)

    return make


@pytest.fixture(scope="module")
def platform(proxy, tmp_path_factory):
    """A platform of plain processes with images that behave and images that do not."""
    folder = tmp_path_factory.mktemp("platform")
    config = plain_processes.config(
        proxy,
        processes=images(proxy),
        kinds={"python:3": Kind(image="py")},
        ready_timeout_ms=5000,
    )
    with local_platform(config, folder) as deployed:
        yield deployed


@pytest.fixture
def client(platform):
    with platform.endpoint.client() as made:
        yield made
        for name in made.actions():
            made.delete_action(name)
