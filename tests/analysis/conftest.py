import pytest
import synthetic_run

from analysis import frames


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory):
    """A small run with every experiment; tests must not change it."""
    path = tmp_path_factory.mktemp("runs") / "small"
    synthetic_run.write(
        path, schemes=("baseline", "fork", "cold"), workloads=("hello", "imgproc"), repetitions=3, count=12
    )
    return path


@pytest.fixture(scope="session")
def run(run_dir):
    return frames.load(run_dir)
