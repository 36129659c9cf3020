"""Root services on the testbed that schemes need beside the platform: rewind's file reset.

A service, RUNTIME/FOLDER, is a folder with __main__.py in that runtime's own, and so in its image: it
runs as a container of that image, with the testbed's process numbers and all rights. It is given
`--folder FOLDER`, and `--host PATH`, where the testbed's root file system is seen. Containers connect to
it by a socket of their own, which the platform asks the service for; FOLDER/socket is a shared one for
platforms that mount the same into every container.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence

import docker.errors
import requests
from docker.models.containers import Container

from bench.errors import BenchError, DockerError, PlatformError
from bench.hosts.base import Host
from bench.platforms.deploy import ROLE
from bench.plugins import Scheme
from bench.progress import Progress

FOLDER = "/run/rewind-bench/services"
HOST_ROOT = "/proc/1/root"
IN_IMAGE = "/usr/lib/rewind-bench/scheme"
PYTHON = "/usr/bin/python3.11"
READY = "ready"
START_S = 180.0
POLL_S = 0.05
Failed = (docker.errors.DockerException, requests.RequestException)


@contextlib.contextmanager
def services(
    host: Host,
    schemes: Sequence[Scheme],
    images: Mapping[str, str],
    run_label: str,
    progress: Progress,
) -> Iterator[str]:
    """The services of these schemes for the length of the block; yields their folder, "" without any.

    `images` maps a runtime to its image on the testbed.
    Raises DockerError, PlatformError, HostLostError.
    """
    wanted = {scheme.spec.service for scheme in schemes if scheme.spec.service}
    with contextlib.ExitStack() as stack:
        for service in sorted(wanted):
            with progress.stage(f"service {service}"):
                image = images[service.partition("/")[0]]
                stack.enter_context(running(host, service, image, run_label))
        yield FOLDER if wanted else ""


@contextlib.contextmanager
def running(host: Host, service: str, image: str, run_label: str) -> Iterator[Container]:
    """One service, ready to be connected to."""
    client = host.docker()
    name = f"rewind-bench-service-{service.replace('/', '-')}"
    try:
        with contextlib.suppress(docker.errors.NotFound):
            client.containers.get(name).remove(force=True)  # of a run that was killed
        container = client.containers.run(
            image,
            entrypoint=[PYTHON, "-B", f"{IN_IMAGE}/{service.partition('/')[2]}"],
            command=["--folder", FOLDER, "--host", HOST_ROOT],
            name=name,
            detach=True,
            privileged=True,
            pid_mode="host",
            network_mode="none",
            volumes={FOLDER: {"bind": FOLDER, "mode": "rw"}},
            labels={"rewind-bench": run_label, ROLE: "service"},
            restart_policy={"Name": "on-failure"},
        )
    except Failed as error:
        raise DockerError(
            f"the service '{service}' does not start on {host.name}: {error}",
            hint="it needs a Docker daemon that allows privileged containers",
        ) from error
    try:
        _until_ready(container, service)
        yield container
    finally:
        with contextlib.suppress(*Failed, BenchError):
            container.remove(force=True)
            host.run(["rm", "-rf", FOLDER])


def _until_ready(container: Container, service: str) -> None:
    end = time.monotonic() + START_S
    while True:
        said = bytes(container.logs()).decode(errors="replace")
        if READY in said:
            return
        container.reload()
        if container.status in ("exited", "dead") or time.monotonic() > end:
            raise PlatformError(f"the service '{service}' does not start:\n{said}", hint="its log says why")
        time.sleep(POLL_S)
