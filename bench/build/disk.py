"""The guest's disk: the guest image with container images loaded into its Docker.

The guest is booted once, images are loaded over SSH, and it is shut down; the disk is kept. Each run
boots a throw-away overlay of it.
"""

from __future__ import annotations

import dataclasses
import shutil
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.build.guest import DISK_NAME, HOST_KEY_NAME, KEY_NAME, Variant, guest_step, key_step
from bench.build.kernel import ELF_NAME
from bench.build.step import Product, Step, Work
from bench.errors import BuildError
from bench.hosts.base import Host
from bench.hosts.kvm_probe import Choice
from bench.hosts.vm import Guest, boot

LABEL = "disk"
LOAD_S = 1200.0


@dataclass(frozen=True)
class ImageSource:
    """A step that makes a docker-archive, and the file's name within its product."""

    step: Step
    file: str = "image.tar"


def disk_step(
    images: Mapping[str, ImageSource],
    *,
    kernel: Step,
    variant: Variant = "own",
    accel: Choice = "auto",
    mirror: str = "",
) -> Step:
    """A disk with the images (by the names they are tagged with) loaded.

    `kernel` is what the guest is booted with to load them; the disk is the same under any.
    """
    guest = guest_step(variant, mirror=mirror)
    sources = {f"image:{name}": image.step for name, image in images.items()}

    def build(work: Work) -> None:
        made = work.products["guest"]
        shutil.copyfile(made.file(DISK_NAME), work.out / DISK_NAME)
        shutil.copyfile(made.file(HOST_KEY_NAME), work.out / HOST_KEY_NAME)
        shutil.copy(work.products["key"].file(KEY_NAME), work.out / KEY_NAME)
        if not images:
            return
        archives = [work.products[f"image:{name}"].file(image.file) for name, image in images.items()]
        machine = guest_of(work.products["kernel"].file(ELF_NAME), work.out, accel=accel)
        machine = dataclasses.replace(machine, media=tuple(archives))
        console = work.log.with_suffix(".console")
        with boot(machine, label=LABEL, keep=True, console_copy=console, say=work.say) as host:
            for letter, name in zip(string.ascii_lowercase[1:], images, strict=False):
                work.say(_load(host, f"/dev/vd{letter}", name))

    return Step(
        f"disk-{variant}",
        build,
        {"images": {name: image.file for name, image in images.items()}, "version": 1},
        {"guest": guest, "key": key_step(), **sources},
        {"kernel": kernel} if images else {},
    )


def guest_of(
    kernel: Path,
    disk: Product | Path,
    *,
    cpus: int = 2,
    memory_mb: int = 4096,
    accel: Choice = "auto",
    initrd: Path | None = None,
) -> Guest:
    """The machine that boots `kernel` with a disk product."""
    folder = disk.path if isinstance(disk, Product) else disk
    return Guest(
        kernel=kernel,
        disk=folder / DISK_NAME,
        key=folder / KEY_NAME,
        host_key=(folder / HOST_KEY_NAME).read_text().strip(),
        initrd=initrd,
        cpus=cpus,
        memory_mb=memory_mb,
        accel=accel,
    )


def _load(host: Host, medium: str, name: str) -> str:
    """Load an archive from a disk of the guest: SSH's encryption would take minutes under emulation."""
    host.docker()  # a daemon that is still starting is waited for, a broken one is named
    said = host.run(["docker", "load", "--input", medium], timeout_s=LOAD_S).text
    if "Loaded image" not in said:
        raise BuildError(f"the archive '{name}' holds no image: {said}", hint="drop it from the cache")
    return said
