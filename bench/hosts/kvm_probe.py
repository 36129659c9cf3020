"""Does KVM really run a guest here? A device that opens proves nothing; a boot does.

Seen: /dev/kvm present and openable, and an unmodified guest hangs in early boot. So `auto` boots our
kernel with a tiny initramfs under a time limit, and remembers the answer for this boot of the host.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from bench.build.cache import locked
from bench.build.initramfs import Initramfs
from bench.errors import AccessError, BenchError, BootError
from bench.hosts.initramfs_run import run_initramfs
from bench.hosts.qemu import AcceleratorName
from bench.paths import state_dir

Choice = Literal["auto", "kvm", "tcg"]

DEVICE = Path("/dev/kvm")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROBE_S = 12.0
SLOW = "the guest runs in software emulation (TCG), 10 to 20 times slower than native"


@dataclass(frozen=True)
class Acceleration:
    """What the guest runs on, and what a person must be told about it ("" for nothing)."""

    name: AcceleratorName
    warning: str = ""


def choose(choice: Choice, kernel: Path) -> Acceleration:
    """Decide the accelerator; "kvm" raises AccessError or BootError where it cannot be had."""
    if choice == "tcg":
        return Acceleration("tcg")
    refusal = refused()
    if not refusal:
        refusal = "" if works(kernel) else "a probe guest did not boot under KVM on this machine"
        if not refusal:
            return Acceleration("kvm")
        if choice == "kvm":
            raise BootError(f"accel = kvm: {refusal}", hint="use accel = auto or tcg")
    if choice == "kvm":
        require()
    hint = f"; {mend()}" if DEVICE.exists() and not os.access(DEVICE, os.R_OK | os.W_OK) else ""
    return Acceleration("tcg", f"{refusal}: {SLOW}{hint}")


def require() -> None:
    """AccessError unless the device can be opened."""
    refusal = refused()
    if refusal:
        raise AccessError(f"accel = kvm: {refusal}", hint=f"{mend()}; or leave accel = auto")


def refused(device: Path = DEVICE) -> str:
    """Why the device cannot be opened, or ""."""
    if not device.exists():
        return f"{device} does not exist (no hardware virtualisation, or not passed to this machine)"
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{device} cannot be opened ({error.strerror})"
    return ""


def mend() -> str:
    """The command that gives this user access to KVM."""
    return f"sudo usermod -aG kvm {os.environ.get('USER', '$USER')}, then log in again"


def works(kernel: Path) -> bool:
    """Boot the probe, or remember that it was booted since this host came up."""
    memory = state_dir() / "kvm_probe.json"
    with locked("kvm-probe"):
        boot = BOOT_ID.read_text().strip()
        known = _remembered(memory)
        if known is not None and known.boot_id == boot:
            return known.works
        answer = _Answer(boot, _probe(kernel))
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(asdict(answer)) + "\n")
        return answer.works


@dataclass(frozen=True)
class _Answer:
    boot_id: str
    works: bool


def _remembered(path: Path) -> _Answer | None:
    try:
        return _Answer(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _probe(kernel: Path) -> bool:
    """A guest without /init that gets as far as missing it has run."""
    archive = state_dir() / "kvm_probe.cpio"
    archive.parent.mkdir(parents=True, exist_ok=True)
    Initramfs().write(archive)
    try:
        result = run_initramfs(
            kernel, archive, accelerator="kvm", memory_mb=256, timeout_s=PROBE_S, label="kvm-probe"
        )
    except BenchError:
        return False
    return "Unable to mount root fs" in result.text or "No working init" in result.text
