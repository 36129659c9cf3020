"""Boot a kernel with an initramfs and nothing else; console and results come back apart.

The first serial port is the kernel's console, the second carries what the programs print, so that a
kernel message never tears a result line. Whatever the guest does wrong is in the returned Boot; only
QEMU's own failure raises.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bench import process
from bench.errors import BootError
from bench.hosts import qemu
from bench.hosts.leftovers import place, start_owned

POLL_S = 0.2
#: A kernel in trouble may write its report for this long before the machine is ended.
REPORT_S = 10.0
PANIC = "Kernel panic - not syncing"


class Ending(Enum):
    """How a boot came to its end."""

    POWERED_OFF = "powered off"
    DIED = "panicked"
    TIMED_OUT = "ran out of time"


@dataclass(frozen=True)
class Options:
    """The virtual machine of one boot."""

    memory_mb: int = 1024
    cpus: int = 2
    cpu_model: str = ""
    accelerator: qemu.AcceleratorName = "tcg"
    #: "instructions": one nanosecond per guest instruction, one processor, no outside input.
    clock: qemu.Clock = "wall"
    #: Sizes of empty virtio disks: /dev/vda is made a swap area, /dev/vdb is for direct I/O.
    disks_mb: tuple[int, ...] = ()
    cmdline: str = ""
    #: Two memory nodes with half of the memory each, so that pages can be moved at will.
    two_nodes: bool = False


@dataclass(frozen=True)
class Boot:
    """What a finished boot left behind."""

    console: str
    results: str
    ending: Ending
    wall_s: float
    folder: Path


def boot(kernel: Path, initramfs: Path, folder: Path, options: Options, *, limit_s: float) -> Boot:
    """Boot to power-off, panic or the time limit (wall clock); the logs stay in `folder`.

    Raises MissingToolError (no QEMU) and BootError (QEMU itself refused).
    """
    folder.mkdir(parents=True, exist_ok=True)
    console, results, complaints = folder / "console.log", folder / "results.log", folder / "qemu.log"
    for path in (console, results, complaints):
        path.write_bytes(b"")
    with place("kernel tests") as where:
        drives = _drives(where.folder, options.disks_mb)
        machine = qemu.Machine(
            kernel=kernel,
            console_log=console,
            initrd=initramfs,
            cmdline=options.cmdline,
            accelerator=options.accelerator,
            clock=options.clock,
            cpus=options.cpus,
            memory_mb=options.memory_mb,
            cpu_model=options.cpu_model,
            extra=("-serial", f"file:{results}", *drives, *_nodes(options)),
        )
        begin = time.monotonic()
        child = start_owned(machine.argv(), log=complaints)
        try:
            where.note(child.pid, qemu.QEMU)
            in_time = _wait(child, console, begin + limit_s)
        finally:
            process.kill_group(child)
    return _outcome(child.returncode, folder, in_time=in_time, wall_s=time.monotonic() - begin)


def _outcome(status: int, folder: Path, *, in_time: bool, wall_s: float) -> Boot:
    console = _text(folder / "console.log")
    ending = Ending.DIED if PANIC in console else Ending.POWERED_OFF if in_time else Ending.TIMED_OUT
    if ending is Ending.POWERED_OFF and status != 0:
        raise BootError(
            f"QEMU ended with status {status}: {_text(folder / 'qemu.log').strip()[-1000:]}",
            hint=f"see {folder / 'qemu.log'}",
        )
    return Boot(console, _text(folder / "results.log"), ending, wall_s, folder)


def _drives(folder: Path, sizes_mb: tuple[int, ...]) -> list[str]:
    argv = []
    for number, size_mb in enumerate(sizes_mb):
        disk = folder / f"disk{number}.raw"
        with disk.open("wb") as file:
            file.truncate(size_mb << 20)
        argv += ["-drive", f"file={disk},format=raw,if=none,id=disk{number},cache=unsafe"]
        argv += ["-device", f"virtio-blk-pci,drive=disk{number}"]
    return argv


def _nodes(options: Options) -> list[str]:
    if not options.two_nodes:
        return []
    # A socket for each node: processors that share a cache belong to one node.
    argv = ["-smp", f"{options.cpus},sockets={options.cpus},cores=1,threads=1"]
    for number in range(2):
        argv += ["-object", f"memory-backend-ram,id=node{number},size={options.memory_mb // 2}M"]
        cpus = f",cpus={number}" if number < options.cpus else ""
        argv += ["-numa", f"node,nodeid={number},memdev=node{number}{cpus}"]
    return argv


def _wait(child: subprocess.Popen[bytes], console: Path, deadline: float) -> bool:
    panicked_at = None
    while time.monotonic() < deadline:
        try:
            child.wait(POLL_S)
        except subprocess.TimeoutExpired:
            if panicked_at is None and PANIC in _text(console):
                panicked_at = time.monotonic()
            if panicked_at is not None and time.monotonic() > panicked_at + REPORT_S:
                return True
        else:
            return True
    return False


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace").replace("\r\n", "\n")
