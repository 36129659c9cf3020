"""Boot a kernel with an initramfs, let it run to its end, and return what it wrote to the console.

With `clock="instructions"` two runs of the same kernel and initramfs give the same text, time stamps
included, on any host and under any load: guest time advances one nanosecond per instruction.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench import process
from bench.errors import BootError
from bench.hosts.console import Console
from bench.hosts.leftovers import place, start_owned
from bench.hosts.qemu import QEMU, AcceleratorName, Clock, Machine

POLL_S = 0.2
#: How long a kernel in trouble may go on writing its report before it is ended.
REPORT_S = 3.0


@dataclass(frozen=True)
class SerialResult:
    """How a boot ended."""

    #: The whole serial console, with "\\n" line ends.
    text: str
    #: QEMU's exit status: 0 when the guest powered off or rebooted; negative, killed by us.
    status: int
    #: The kernel panicked, oopsed, or one of its checkers spoke.
    panicked: bool
    #: The lines from the first sign of trouble on.
    trouble: str
    wall_s: float


def run_initramfs(  # noqa: PLR0913 - each is one independent choice of the caller
    kernel: Path,
    initramfs: Path,
    *,
    cmdline: str = "",
    clock: Clock = "wall",
    accelerator: AcceleratorName = "tcg",
    memory_mb: int = 1024,
    cpus: int = 1,
    cpu_model: str = "",
    timeout_s: float = 120.0,
    extra: tuple[str, ...] = (),
    label: str = "initramfs",
) -> SerialResult:
    """Boot until the guest powers off; a panic ends it too and is reported, not raised.

    `kernel` is a bzImage or an ELF file. The guest's /init ends it with reboot(2) (power off or
    restart). Raises BootError when the time limit (wall time) passes or QEMU itself refuses;
    MissingToolError.
    """
    with place(label) as where:
        console = Console(where.folder / "console.log")
        machine = Machine(
            kernel=kernel,
            console_log=console.path,
            initrd=initramfs,
            cmdline=cmdline,
            accelerator=accelerator,
            clock=clock,
            cpus=cpus,
            memory_mb=memory_mb,
            cpu_model=cpu_model,
            extra=extra,
        )
        complaints = where.folder / "qemu.log"
        start = time.monotonic()
        qemu = start_owned(machine.argv(), log=complaints)
        try:
            where.note(qemu.pid, QEMU)
            _wait(qemu, console, start + timeout_s)
        finally:
            process.kill_group(qemu)
        return _result(qemu.returncode, console, complaints, time.monotonic() - start)


def _wait(qemu: subprocess.Popen[bytes], console: Console, deadline: float) -> None:
    trouble_since = 0.0
    while True:
        try:
            qemu.wait(POLL_S)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            if not trouble_since and console.trouble():
                trouble_since = now
            if trouble_since and now > trouble_since + REPORT_S:
                return
            if now > deadline:
                raise BootError(
                    f"the guest did not finish in time; the last it said:\n{console.tail()}",
                    hint="give it more time, or see what it waits for",
                ) from None
        else:
            return


def _result(status: int, console: Console, complaints: Path, wall_s: float) -> SerialResult:
    trouble = console.trouble()
    if status != 0 and not trouble:
        said = complaints.read_text(errors="replace").strip()[-2000:]
        raise BootError(f"QEMU ended with status {status}: {said or console.tail()}")
    return SerialResult(console.text(), status, bool(trouble), trouble, wall_s)
