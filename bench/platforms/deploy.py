"""Bring the embedded platform up on a testbed, or as a process on this machine."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker.errors
import httpx
import msgspec
import requests

from bench import errors, process
from bench.errors import BenchError, ConfigError, DockerError, PlatformError
from bench.hosts.base import Address, Host
from bench.hosts.leftovers import short_folder
from bench.paths import ROOT
from bench.platforms.base import Endpoint
from bench.platforms.embedded.config import GUEST_KEY, Config
from bench.platforms.settings import PlatformSettings

if TYPE_CHECKING:
    from docker.models.containers import Container

#: Emulated machines take their time to start a container.
START_S = 180.0
LOCAL_START_S = 30.0
#: To remove all action containers.
END_S = 120
POLL_S = 0.05
SOCKET = "/var/run/docker.sock"
ROLE = "rewind-bench.role"
Failed = (docker.errors.DockerException, requests.RequestException)


@dataclass
class Deployment:
    """A platform that answers. `logs()` goes on working after its end."""

    endpoint: Endpoint
    #: Of the REST interface, as seen from the harness.
    address: Address
    config: Config
    #: The platform's own container on the testbed; "" on the local machine.
    container_id: str
    _read_log: Callable[[], str]
    _last_log: str | None = None

    def logs(self) -> str:
        """What the platform has logged so far."""
        return self._read_log() if self._last_log is None else self._last_log

    def keep_log(self) -> None:
        """Fetch the log for the last time."""
        self._last_log = self._read_log()


def deploy(
    host: Host, settings: PlatformSettings, image: str | None, run_label: str, *, log: Path | None = None
) -> AbstractContextManager[Deployment]:
    """A platform on the testbed for the length of the block; its log goes to `log` at the end.

    `image` holds the platform's Python; it is not needed where the harness's own machine is the
    testbed, which is where containers must publish their ports.

    Raises PlatformError, DockerError, PortInUseError, ConfigError, HostLostError.
    """
    if not host.container_network:
        return _deploy_here(settings, run_label, log)
    if image is None:
        raise PlatformError(
            f"no platform image for testbed {host.name}", hint="'rewind-bench build' makes it"
        )
    return _deploy_there(host, settings, image, run_label, log)


@contextmanager
def local_platform(config: Config, folder: Path) -> Iterator[Deployment]:
    """A platform process on this machine with its files in `folder`; ends with the block."""
    port_file, log = folder / "port", folder / "platform.log"
    port_file.unlink(missing_ok=True)
    config = msgspec.structs.replace(config, port_file=str(port_file), stop_with_parent=True)
    file = folder / "platform.json"
    file.write_bytes(msgspec.json.encode(config))
    argv = [sys.executable, "-m", "bench.platforms.embedded", "--config", str(file)]
    child = process.start(argv, log=log, cwd=ROOT)
    deployed: Deployment | None = None

    def read_log() -> str:
        return log.read_text(errors="replace")

    try:
        end = time.monotonic() + LOCAL_START_S
        while not port_file.exists():
            status = child.poll()
            if status is not None:
                raise _start_error(status, read_log())
            if time.monotonic() > end:
                raise PlatformError(f"the platform did not start\n{_tail(read_log())}", hint=f"see {log}")
            time.sleep(POLL_S)
        address = Address("127.0.0.1", int(port_file.read_text()))
        deployed = Deployment(_endpoint(address, config), address, config, "", read_log)
        yield deployed
    finally:
        process.kill_group(child, grace_s=END_S)
        if deployed is not None:
            deployed.keep_log()


@contextmanager
def _deploy_here(settings: PlatformSettings, run_label: str, log: Path | None) -> Iterator[Deployment]:
    seccomp = str(settings.seccomp_profile.resolve()) if settings.seccomp_profile is not None else ""
    with short_folder() as folder:
        config = settings.config(
            published=True, run_label=run_label, seccomp_path=seccomp, database=str(folder / "platform.db")
        )
        try:
            with local_platform(config, folder) as deployed:
                yield deployed
        finally:
            if log is not None and (folder / "platform.log").exists():
                _save(log, (folder / "platform.log").read_text(errors="replace"))


@contextmanager
def _deploy_there(
    host: Host, settings: PlatformSettings, image: str, run_label: str, log: Path | None
) -> Iterator[Deployment]:
    port = settings.port or 3233
    folder = f"/run/rewind-bench/platform-{port}"
    config = _put_files(host, settings, run_label, folder)
    with contextlib.ExitStack() as stack:
        try:
            shared = [path for path in (SOCKET, folder, settings.socket_service) if path]
            container = _run(host.docker(), image, folder, port, run_label, shared)
        except Failed as error:
            raise DockerError(
                f"the platform does not start on {host.name}: {error}",
                hint="'docker logs' and 'journalctl -u docker' on the testbed say more",
            ) from error

        def read_log() -> str:
            try:
                return bytes(container.logs()).decode(errors="replace")
            except Failed as error:
                return f"(no log: {error})\n"

        def end(kind: type[BaseException] | None, *_: object) -> None:
            try:
                _end(container, host.name)
            except DockerError:
                if kind is None:  # else what went wrong before is the news: the machine may be gone
                    raise

        stack.push(end)
        address = stack.enter_context(host.forward(port))
        deployed = Deployment(_endpoint(address, config), address, config, str(container.id), read_log)
        try:
            _until_it_answers(deployed, container)
            yield deployed
        finally:
            with contextlib.suppress(*Failed):
                container.stop(timeout=END_S)
            deployed.keep_log()
            if log is not None:
                _save(log, deployed.logs())


def _put_files(host: Host, settings: PlatformSettings, run_label: str, folder: str) -> Config:
    seccomp = ""
    if settings.seccomp_profile is not None:
        seccomp = f"{folder}/seccomp.json"
        try:
            host.put(settings.seccomp_profile.read_bytes(), seccomp)
        except OSError as error:
            raise ConfigError([f"seccomp_profile: {settings.seccomp_profile}: {error.strerror}"]) from error
    config = settings.config(
        published=False, run_label=run_label, seccomp_path=seccomp, database=f"{folder}/platform.db"
    )
    host.run(["rm", "-f", *(f"{folder}/platform.db{end}" for end in ("", "-wal", "-shm"))])
    host.put(msgspec.json.encode(config), f"{folder}/platform.json", 0o600)
    return config


def _run(client: Any, image: str, folder: str, port: int, run_label: str, shared: Sequence[str]) -> Container:
    name = f"rewind-bench-platform-{port}"
    with contextlib.suppress(docker.errors.NotFound):
        client.containers.get(name).remove(force=True)  # of a run that was killed
    container: Container = client.containers.run(
        image,
        entrypoint=["python3", "-m", "bench.platforms.embedded"],
        command=["--config", f"{folder}/platform.json"],
        name=name,
        detach=True,
        network_mode="host",
        volumes={path: {"bind": path, "mode": "rw"} for path in shared},
        labels={"rewind-bench": run_label, ROLE: "platform"},
    )
    return container


def _end(container: Container, where: str) -> None:
    try:
        container.remove(force=True)
    except docker.errors.NotFound:
        return
    except Failed as error:
        raise DockerError(
            f"the platform's container on {where} is not removed: {error}", hint="'rewind-bench clean'"
        ) from error


def _until_it_answers(deployed: Deployment, container: Container) -> None:
    end = time.monotonic() + START_S
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{deployed.endpoint.api_host}/ping", timeout=5.0, trust_env=False).is_success:
                return
        container.reload()
        if container.status in ("exited", "dead"):
            raise _start_error(int(container.attrs["State"]["ExitCode"]), deployed.logs())
        if time.monotonic() > end:
            raise PlatformError(
                f"the platform did not answer within {START_S:.0f} s\n{_tail(deployed.logs())}",
                hint="is the testbed very busy? its log is in the run folder",
            )
        time.sleep(POLL_S)


def _endpoint(address: Address, config: Config) -> Endpoint:
    return Endpoint(f"http://{address.host}:{address.port}", config.auth.get("guest", GUEST_KEY))


def _start_error(status: int, log: str) -> BenchError:
    """The error that the platform told by its exit status and in its last lines."""
    _, _, told = ("\n" + log).rpartition("\nerror: ")
    said, _, hint = told.rstrip().partition("\nhint: ")
    if "\nerror: " not in "\n" + log:
        said, hint = _tail(log), ""
    message = f"the platform ended at its start: {said}"
    kinds = {k.exit_status: k for k in (errors.PortInUseError, errors.DockerError)}
    return kinds.get(status, PlatformError)(message, hint=hint)


def _tail(log: str) -> str:
    return "\n".join(log.splitlines()[-15:])


def _save(path: Path, text: str) -> None:
    with process.disk_full_is_typed(f"writing {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
