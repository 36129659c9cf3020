"""What all tests share: a Docker daemon for those that need one, and no silent skips."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException
from xdist.scheduler import LoadScopeScheduling

from bench import process

#: Build kernels of their own: half an hour. `nox -s tests -- --long` runs them too.
LONG = ("test_regress_kernels.py",)
ALLOWED_SKIPS = Path(__file__).parent / "allowed_skips.txt"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also what builds kernels of its own")
    parser.addoption(
        "--no-silent-skips",
        action="store_true",
        help="fail when a test did not run (skipped, ...) and does not stand in allowed_skips.txt",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if collection_path.name in LONG and not config.getoption("--long"):
        return True
    return None


@pytest.hookimpl(tryfirst=True)  # before tests are deselected by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("docker") and isinstance(item, pytest.Function):
            item.fixturenames.insert(0, "docker_daemon")
            item.add_marker(pytest.mark.vm)  # images are built for it: not of the minute-long part
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.vm)
        if item.get_closest_marker("vm") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1500))


class ByResource(LoadScopeScheduling):
    """Several workers: a folder stays whole, as its modules share fixtures; so does a resource.

    Two Docker daemons would be in each other's way, and two big machines would starve each other.
    """

    def _split_scope(self, nodeid: str) -> str:
        return resource_of(self.config.rootpath / nodeid.split("::", 1)[0])


@functools.cache
def resource_of(module: Path) -> str:
    """By the marks that a module names."""
    text = module.read_text()
    if "pytest.mark.docker" in text:
        return "docker"
    if "pytest.mark.vm" in text:
        # The kernel's machines are small, and the runtimes' are booted once for a module.
        return module.parent.name if module.parent.name in ("kernel", "runtimes") else "vm"
    return str(module.parent)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    return ByResource(config, log)


class SkipAudit:
    """Every test that did not run must stand, with a reason, in tests/allowed_skips.txt."""

    def __init__(self) -> None:
        self.not_run: list[str] = []

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self.not_run += [f"{item.nodeid} (deselected)" for item in items]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            kind = "expected to fail" if hasattr(report, "wasxfail") else "skipped"
            self.not_run.append(f"{report.nodeid} ({kind})")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.not_run.append(f"{report.nodeid} (skipped)")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        allowed = {line.split("#")[0].strip() for line in ALLOWED_SKIPS.read_text().splitlines()}
        self.not_run = [name for name in self.not_run if name.split(" (")[0] not in allowed]
        if self.not_run and session.exitstatus == 0:
            session.exitstatus = 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for name in self.not_run:
            terminalreporter.write_line(f"did not run and is not in {ALLOWED_SKIPS.name}: {name}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--no-silent-skips"):
        config.pluginmanager.register(SkipAudit(), "skip-audit")


def connected(daemon: subprocess.Popen[bytes], socket: str, log: Path) -> docker.DockerClient:
    """Wait until a daemon answers; fail with its log when it ends instead."""
    while daemon.poll() is None:
        try:
            return docker.DockerClient(socket, version="auto")
        except DockerException:
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(0.1)
    pytest.fail(f"dockerd ended: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def docker_daemon() -> Iterator[str]:
    """The user's Docker daemon where one answers, else a private one for the time of the tests."""
    try:
        docker.from_env().ping()
        yield os.environ.get("DOCKER_HOST", "")
        return
    except DockerException:
        pass
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.fail("no Docker daemon answers, and none can be started: apt-get install docker.io")
    # Not below pytest's own folder: a Unix socket's path may have only 107 bytes.
    root = Path(tempfile.mkdtemp(prefix="rewind-bench-docker-"))
    socket = f"unix://{root}/docker.sock"
    before = os.environ.get("DOCKER_HOST")
    argv = ["dockerd", "--data-root", f"{root}/data", "--exec-root", f"{root}/exec", "-H", socket]
    argv += ["--pidfile", f"{root}/pid", "--exec-opt", "native.cgroupdriver=cgroupfs"]
    try:
        with process.running(argv, log=root / "log") as daemon:
            client = connected(daemon, socket, root / "log")
            os.environ["DOCKER_HOST"] = socket
            yield socket
            for container in client.containers.list(all=True):
                container.remove(force=True)
    finally:
        if before is None:
            os.environ.pop("DOCKER_HOST", None)
        else:
            os.environ["DOCKER_HOST"] = before
        shutil.rmtree(root, ignore_errors=True)
