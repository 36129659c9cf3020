"""What a run on our own guest needs: the kernel, and a disk with the run's images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.build.disk import ImageSource, disk_step, guest_of
from bench.build.guest import guest_step
from bench.build.kernel import Kernel, Variant, kernel_step
from bench.build.schedule import Built, Event, build_all
from bench.build.step import Product, Step
from bench.hosts.kvm_probe import Choice
from bench.hosts.vm import Guest

__all__ = ["Built", "Event", "GuestSteps", "ImageSource", "build_all", "guest_steps", "stock_steps"]


@dataclass(frozen=True)
class GuestSteps:
    """The two steps behind a guest; pass `all()` to build_all, then ask for `guest()`."""

    kernel: Step
    disk: Step

    def all(self) -> tuple[Step, Step]:
        """Both, for build_all."""
        return self.kernel, self.disk

    def guest(self, *, cpus: int = 2, memory_mb: int = 4096, accel: Choice = "auto") -> Guest:
        """The machine to boot, once both are built."""
        initrd = self.kernel.product.path / "initrd"
        own = not initrd.exists()
        image = Kernel(self.kernel.product).elf if own else self.kernel.product.file("vmlinuz")
        return guest_of(
            image,
            self.disk.product,
            cpus=cpus,
            memory_mb=memory_mb,
            accel=accel,
            initrd=None if own else initrd,
        )

    @property
    def kernel_product(self) -> Product:
        """The kernel's product, for the manifest."""
        return self.kernel.product


def guest_steps(
    images: Mapping[str, ImageSource],
    *,
    variant: Variant = "release",
    source: Path | None = None,
    patches: Path | None = None,
    accel: Choice = "auto",
    mirror: str = "",
) -> GuestSteps:
    """Our guest on a kernel of ours; see kernel_step for the kernel's choices."""
    kernel = kernel_step(variant, source=source, patches=patches, mirror=mirror)
    return GuestSteps(kernel, disk_step(images, kernel=kernel, accel=accel, mirror=mirror))


def stock_steps(*, mirror: str = "") -> GuestSteps:
    """A guest on Debian's own kernel: any machine that somebody might hand us over SSH."""
    guest = guest_step("stock", mirror=mirror)
    return GuestSteps(guest, disk_step({}, kernel=guest, variant="stock", mirror=mirror))
