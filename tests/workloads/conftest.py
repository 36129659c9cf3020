"""What the tests of workloads share: their modules, and images of a session's own folder."""

import importlib.util
import sys
from pathlib import Path

import pytest

from bench.paths import WORKLOADS


def load_module(path: Path):
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def workload_module():
    """Loads a workload's main.py, oracle.py or data.py as a container would: beside its modules."""
    sys.path.insert(0, str(WORKLOADS / "common"))
    loaded = {}

    def load(workload: str, name: str = "main"):
        if (workload, name) not in loaded:
            loaded[workload, name] = load_module(WORKLOADS / workload / f"{name}.py")
        return loaded[workload, name]

    yield load
    sys.path.remove(str(WORKLOADS / "common"))


@pytest.fixture(scope="session")
def generated_images(tmp_path_factory, workload_module):
    base = tmp_path_factory.mktemp("data")
    workload_module("imgproc", "data").generate(base / "imgproc")
    return base


@pytest.fixture
def input_data(generated_images, tmp_path, monkeypatch):
    monkeypatch.setenv("REWIND_BENCH_DATA", str(generated_images))
    return generated_images
