"""QEMU's command line: what machine, on which accelerator, with which clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

AcceleratorName = Literal["kvm", "tcg"]
#: "wall": guest time is real time. "instructions": one nanosecond per guest instruction (TCG only).
Clock = Literal["wall", "instructions"]

QEMU = "qemu-system-x86_64"
#: With "enhanced rep movsb" each byte of a page copy would count as one instruction.
COUNTED_CPU = "max,erms=off,fsrm=off"
#: Same bytes at each boot: no randomised addresses in kernel or programs.
FIXED_ADDRESSES = "nokaslr norandmaps"
#: Emulation does not speculate; the mitigations would only cost.
NO_MITIGATIONS = "mitigations=off"
CONSOLE = "console=ttyS0 panic=-1 oops=panic"


@dataclass(frozen=True)
class Machine:
    """One QEMU machine, ready to be turned into a command line."""

    kernel: Path
    console_log: Path
    initrd: Path | None = None
    cmdline: str = ""
    accelerator: AcceleratorName = "tcg"
    clock: Clock = "wall"
    cpus: int = 1
    memory_mb: int = 1024
    cpu_model: str = ""
    #: A qcow2 overlay that the machine may write to.
    disk: Path | None = None
    #: Files that the guest sees as read-only disks: /dev/vdb, /dev/vdc, …
    media: tuple[Path, ...] = ()
    #: A port of 127.0.0.1 that leads to the guest's SSH.
    ssh_port: int = 0
    qmp_socket: Path | None = None
    extra: tuple[str, ...] = field(default=())

    def argv(self) -> list[str]:
        """The command."""
        base = [
            *(QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-machine", "q35,hpet=off" if self.clock == "wall" else "q35"),
            *("-m", str(self.memory_mb), "-kernel", str(self.kernel)),
            *("-chardev", f"file,id=console,path={_quoted(self.console_log)}", "-serial", "chardev:console"),
        ]
        initrd = ["-initrd", str(self.initrd)] if self.initrd else []
        clocked = self._counted() if self.clock == "instructions" else self._real()
        return [*base, *initrd, *clocked, *self._devices(), "-append", self._append(), *self.extra]

    def _counted(self) -> list[str]:
        return [
            *("-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-smp", "1"),
            *("-cpu", self.cpu_model or COUNTED_CPU, "-seed", "1"),
            *("-rtc", "base=2026-01-01T00:00:00,clock=vm"),
        ]

    def _real(self) -> list[str]:
        accel = "kvm" if self.accelerator == "kvm" else "tcg,thread=multi"
        model = self.cpu_model or ("host" if self.accelerator == "kvm" else "max")
        return [
            *("-accel", accel, "-cpu", model, "-smp", str(self.cpus)),
            *("-device", "virtio-rng-pci,max-bytes=65536,period=1000"),
        ]

    def _devices(self) -> list[str]:
        argv = []
        if self.disk is not None:
            drive = f"file={_quoted(self.disk)},format=qcow2,if=none,id=disk,cache=unsafe,discard=unmap"
            argv += ["-drive", drive, "-device", "virtio-blk-pci,drive=disk"]
        for number, path in enumerate(self.media):
            drive = f"file={_quoted(path)},format=raw,if=none,id=medium{number},readonly=on"
            argv += ["-drive", drive, "-device", f"virtio-blk-pci,drive=medium{number}"]
        if self.ssh_port:
            # The guest answers the harness and reaches nobody else, neither this machine nor beyond.
            user = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22"
            argv += ["-netdev", user, "-device", "virtio-net-pci,netdev=net,romfile="]
        if self.qmp_socket is not None:
            argv += ["-qmp", f"unix:{_quoted(self.qmp_socket)},server=on,wait=off"]
        return argv

    def _append(self) -> str:
        words = [CONSOLE]
        if self.accelerator == "tcg" or self.clock == "instructions":
            words.append(NO_MITIGATIONS)
        if self.clock == "instructions":
            words.append(FIXED_ADDRESSES)
        return " ".join([*words, *([self.cmdline] if self.cmdline else [])])


def _quoted(path: Path) -> str:
    """A path as a value in QEMU's option syntax, where a comma is doubled."""
    return str(path).replace(",", ",,")
