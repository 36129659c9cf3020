"""From a profile to a testbed with the platform up: build, boot or connect, load, deploy, verify."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from docker.errors import DockerException

from bench import doctor
from bench.build.all import GuestSteps, guest_steps
from bench.build.disk import ImageSource
from bench.build.images import ARCHIVE_NAME, PLATFORM, ImageSet, image_set, images_step
from bench.build.kernel import Kernel
from bench.build.schedule import Event, build_all
from bench.build.step import Step
from bench.config import Resolved
from bench.errors import BenchError, DockerError, KernelMismatchError, PlatformError, UserError
from bench.hosts.base import Host
from bench.hosts.local import LocalHost
from bench.hosts.ssh import SshHost
from bench.hosts.sshlogin import Target, connect
from bench.hosts.vm import VmHost, boot
from bench.paths import RUNTIMES
from bench.platforms.base import Endpoint
from bench.platforms.client import Client
from bench.platforms.deploy import deploy
from bench.platforms.embedded.config import Limits, Throttles
from bench.platforms.services import services
from bench.platforms.settings import PlatformSettings
from bench.plugins import schemes, workloads
from bench.probes.facts import read_facts
from bench.progress import Progress, duration
from bench.store.folder import RunFolder
from bench.store.manifest import TestbedFacts

SECCOMP = RUNTIMES / "common" / "seccomp.json"
#: How much more time everything may take under software emulation.
EMULATION_SLOWDOWN = 10.0
#: Beyond OpenWhisk's own limits: emulated actions are slow, and every request is to be answered.
LIMITS = Limits(max_timeout_ms=3_600_000, max_memory_mb=4096, blocking_ms=3_600_000)


@dataclass(frozen=True)
class Products:
    """What was built for a profile."""

    images: ImageSet
    guest: GuestSteps | None
    #: Step name -> content hash.
    digests: Mapping[str, str]

    def of_runtimes(self) -> dict[str, str]:
        """Runtime name -> image reference."""
        return {name: info.reference for name, info in self.images.images.items() if name != PLATFORM}


@dataclass(frozen=True)
class Testbed:
    """A machine under test with the images on it."""

    __test__ = False  # not a test class, whatever its name says to pytest

    host: Host
    products: Products
    facts: TestbedFacts
    #: Folder of the schemes' services on it; "": they need none.
    services: str


@dataclass(frozen=True)
class Ready:
    """A testbed with the platform up."""

    client: Client
    endpoint: Endpoint
    facts: TestbedFacts
    #: Runtime name -> image.
    images: Mapping[str, str]
    slowdown: float
    host: Host

    def cause(self, error: BenchError | None = None) -> BenchError | None:
        """The guest's own end or its kernel's fault, where that is behind an error; else the error."""
        if isinstance(self.host, VmHost):
            try:
                self.host.vm.check()
            except BenchError:
                return self.host.vm.why_lost("measuring")
        return error


def build_products(resolved: Resolved, progress: Progress) -> Products:
    """Everything the profile needs, from the cache where it is there."""
    profile = resolved.profile
    if profile.testbed.kind == "vm":
        doctor.require_guest(profile.testbed.accel)
    images, guest, steps = _steps(resolved)

    def tell(event: Event) -> None:
        took = f" in {duration(event.seconds)}" if event.seconds else ""
        progress.say(f"  {event.step} {event.state}{took} ({event.done}/{event.total})")

    with progress.stage("build"):
        built = build_all(steps, progress=tell)
    for name, seconds in built.seconds.items():
        if seconds >= 1:
            progress.add(f"  build: {name}", seconds)
    digests = {name: product.digest for name, product in built.products.items()}
    return Products(image_set(built.products[images.name]), guest, digests)


def planned_builds(resolved: Resolved) -> dict[str, str]:
    """Step name -> content hash of all that a run of the profile would be made with; builds nothing."""
    return {step.name: step.digest for step in _steps(resolved)[2]}


def _steps(resolved: Resolved) -> tuple[Step, GuestSteps | None, list[Step]]:
    """The images, the guest if there is one, and all steps to build."""
    profile = resolved.profile
    # Of everything there is, whatever the profile picks: one disk serves all profiles.
    images = images_step(
        schemes().values(),
        workloads().values(),
        launcher_user="root" if profile.runtime.launcher_user == "root" else "nobody",
        action_proxy=profile.runtime.action_proxy,
    )
    steps: list[Step] = [images]
    guest: GuestSteps | None = None
    if profile.testbed.kind == "vm":
        guest = guest_steps({"images": ImageSource(images, ARCHIVE_NAME)}, accel=profile.testbed.accel)
        steps += guest.all()
    return images, guest, steps


def _verify_resumed(facts: TestbedFacts, folder: RunFolder) -> None:
    """A run is measured on one kernel and accelerator, or its cells could not be compared."""
    before = folder.manifest.testbed
    if before is None:
        return
    was, now = (before.kernel, before.accelerator), (facts.kernel, facts.accelerator)
    if was != now:
        raise UserError(
            f"{folder.path} was begun on {' under '.join(was)}, and this is {' under '.join(now)}",
            hint="start a new run (without --resume); what this one has measured stays",
        )


@contextlib.contextmanager
def open_testbed(resolved: Resolved, folder: RunFolder, progress: Progress) -> Iterator[Testbed]:
    """Build, boot or connect; images are on the testbed when this yields."""
    products = build_products(resolved, progress)
    folder.manifest.builds = dict(products.digests)
    folder.write_manifest()
    with _host(resolved, products, folder, progress) as host:
        facts = read_facts(host, resolved.profile.testbed.kind)
        _verify_kernel(facts, products)
        _verify_resumed(facts, folder)
        load_images(host, products.images, progress)
        folder.manifest.testbed = facts
        folder.write_manifest()
        of_runtimes = products.of_runtimes()
        with services(host, resolved.schemes, of_runtimes, folder.path.name, progress) as where:
            yield Testbed(host, products, facts, where)


@contextlib.contextmanager
def _host(resolved: Resolved, products: Products, folder: RunFolder, progress: Progress) -> Iterator[Host]:
    testbed = resolved.profile.testbed
    if testbed.kind == "vm":
        console = folder.logs / "console.log"
        with booted(resolved, products, folder.path.name, progress, console) as guest:
            yield guest
    elif testbed.kind == "ssh":
        with progress.stage(f"connect to {testbed.host}"):
            remote = SshHost(connect(Target.parse(testbed.host)), name=testbed.host)
        with contextlib.closing(remote):
            yield remote
    else:
        with contextlib.closing(LocalHost()) as local:
            yield local


@contextlib.contextmanager
def booted(
    resolved: Resolved,
    products: Products,
    label: str,
    progress: Progress,
    console: Path | None = None,
) -> Iterator[VmHost]:
    """The profile's guest for the length of the block."""
    if products.guest is None:
        raise PlatformError("the profile's testbed is not a guest")
    testbed = resolved.profile.testbed
    guest = products.guest.guest(cpus=testbed.cpus, memory_mb=testbed.memory_mb, accel=testbed.accel)
    with contextlib.ExitStack() as stack:
        with progress.stage("boot"):
            booting = boot(guest, label=label, console_copy=console, say=progress.say)
            host = stack.enter_context(booting)
        yield host


@contextlib.contextmanager
def provision(
    testbed: Testbed, resolved: Resolved, pool_mb: int, folder: RunFolder, progress: Progress
) -> Iterator[Ready]:
    """The platform with a pool of this size on the testbed, for the length of the block."""
    settings = platform_settings(resolved, pool_mb, testbed.facts.cpus)
    settings = msgspec.structs.replace(settings, socket_service=testbed.services)
    image = testbed.products.images.reference(PLATFORM)
    log = folder.logs / f"platform-{pool_mb}.log"
    host = testbed.host
    with contextlib.ExitStack() as stack:
        with progress.stage(f"platform with a pool of {pool_mb} MB"):
            deployment = stack.enter_context(deploy(host, settings, image, folder.path.name, log=log))
            client = stack.enter_context(deployment.endpoint.client())
        yield Ready(
            client=client,
            endpoint=deployment.endpoint,
            facts=testbed.facts,
            images=testbed.products.of_runtimes(),
            slowdown=EMULATION_SLOWDOWN if host.accelerator == "tcg" else 1.0,
            host=host,
        )


def platform_settings(resolved: Resolved, pool_mb: int, cpus: int) -> PlatformSettings:
    """The profile's words as the platform's settings."""
    wanted = resolved.profile.platform
    return PlatformSettings(
        port=wanted.port,
        user_memory_mb=pool_mb,
        limits=LIMITS,
        throttles=Throttles(
            invocations_per_minute=wanted.invocations_per_minute,
            concurrent_invocations=wanted.concurrent_invocations,
        ),
        pause_grace_ms=round(wanted.pause_grace_s * 1000) or None,
        idle_timeout_ms=round(wanted.idle_timeout_s * 1000),
        cpuset=list(range(cpus)) if wanted.pin_cpus else [],
        seccomp_profile=SECCOMP,
    )


def _verify_kernel(facts: TestbedFacts, products: Products) -> None:
    """The guest must run the kernel that was built for it."""
    if products.guest is None:
        return
    wanted = Kernel(products.guest.kernel_product).release
    if facts.kernel != wanted:
        raise KernelMismatchError(
            f"the guest runs {facts.kernel}, not {wanted}",
            hint="remove the disk from the build cache and run again",
        )


def load_images(host: Host, images: ImageSet, progress: Progress) -> None:
    """Load what the testbed's Docker does not have yet."""
    try:
        there = {tag for image in host.docker().images.list() for tag in image.tags}
        if {info.reference for info in images.images.values()} <= there:
            return
        with progress.stage("load images"), images.archive.open("rb") as archive:
            host.docker().images.load(archive)
    except DockerException as error:
        raise DockerError(
            f"images cannot be loaded on {host.name}: {error}",
            hint="is there room on the testbed, and may this user talk to Docker?",
        ) from error
