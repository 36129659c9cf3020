"""The guest: boot a disk under QEMU, reach it over SSH like any remote machine, end it for certain."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qemu.qmp import QMPClient, QMPError

from bench import process
from bench.errors import BenchError, BootError, HostLostError, KernelPanicError, PortInUseError
from bench.hosts.console import Console
from bench.hosts.kvm_probe import Acceleration, Choice, choose
from bench.hosts.leftovers import Place, place, start_owned
from bench.hosts.qemu import QEMU, Machine
from bench.hosts.ssh import SshHost
from bench.hosts.sshlogin import Target, connect

#: systemd needs no more of the kernel's messages than the faults.
CMDLINE = "root=/dev/vda rw net.ifnames=0 quiet loglevel=4"
BOOT_S = 240.0
STOP_S = 90.0
POLL_S = 0.25
Say = Callable[[str], None]


@dataclass(frozen=True)
class Guest:
    """What to boot, and how."""

    kernel: Path
    #: A qcow2 image; it is never written to unless it is booted with `keep`.
    disk: Path
    #: The private SSH key that the image accepts, and the host key that it has.
    key: Path
    host_key: str
    initrd: Path | None = None
    cmdline: str = ""
    cpus: int = 2
    memory_mb: int = 4096
    accel: Choice = "auto"
    #: Files shown as read-only disks /dev/vdb, /dev/vdc, …: the fast way in for large ones.
    media: tuple[Path, ...] = ()
    #: The port of 127.0.0.1 that leads to the guest's SSH; 0 takes a free one.
    ssh_port: int = 0


class VmHost(SshHost):
    """The guest as a Host that also knows its machine."""

    def __init__(self, target: Target, vm: Vm) -> None:
        self.vm = vm
        super().__init__(connect(target), name=vm.name, accelerator=vm.acceleration.name)

    def _lost(self, doing: str) -> BenchError:
        return self.vm.why_lost(doing)


@dataclass(frozen=True)
class Vm:
    """A running QEMU."""

    name: str
    target: Target
    acceleration: Acceleration
    console: Console
    complaints: Path
    qmp_socket: Path
    qemu: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """QEMU's process id."""
        return self.qemu.pid

    def why_lost(self, doing: str) -> BenchError:
        """The error for a guest that went away: its kernel's fault, QEMU's end, or the network's."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.qemu.wait(2)  # a panic ends QEMU a moment after the connection
        trouble = self.console.trouble()
        if trouble:
            return KernelPanicError(
                f"the guest's kernel panicked or reported a fault while {doing}:\n{trouble}",
                hint="the kernel is to blame, not the harness; 'rewind-bench run --resume' continues",
            )
        end = "" if self.qemu.poll() is None else f" (QEMU ended with status {self.qemu.returncode})"
        return HostLostError(
            f"the connection to the guest was lost while {doing}{end}",
            hint="continue with 'rewind-bench run --resume'",
        )

    def check(self) -> None:
        """Raise KernelPanicError or BootError when the machine is in trouble or gone."""
        self.console.check()
        if self.qemu.poll() is not None:
            said = self.complaints.read_text(errors="replace").strip()[-2000:]
            if "host forwarding rule" in said:  # somebody took the port since we looked
                raise PortInUseError(f"QEMU cannot listen on its SSH port: {said}", hint="run again")
            raise BootError(
                f"QEMU ended with status {self.qemu.returncode}\n{said or self.console.tail()}",
                hint="its last console lines are above",
            )


@contextlib.contextmanager
def boot(
    guest: Guest,
    *,
    label: str,
    keep: bool = False,
    timeout_s: float = BOOT_S,
    console_copy: Path | None = None,
    say: Say = lambda _text: None,
) -> Iterator[VmHost]:
    """Boot the guest on a throw-away overlay and yield it once SSH answers.

    With `keep` it writes to the disk itself and is shut down cleanly. The serial console is copied to
    `console_copy` at the end. Raises BootError, KernelPanicError, PortInUseError, MissingToolError.
    """
    acceleration = choose(guest.accel, guest.kernel)
    if acceleration.warning:
        say(acceleration.warning)
    with place(label) as where, _started(guest, acceleration, where, label=label, keep=keep) as vm:
        try:
            host = _reach(vm, time.monotonic() + timeout_s)
            with contextlib.closing(host):
                yield host
                if keep:
                    _shut_down(host)
        finally:
            if console_copy is not None:
                console_copy.write_text(vm.console.text())


@contextlib.contextmanager
def _started(
    guest: Guest, acceleration: Acceleration, where: Place, *, label: str, keep: bool
) -> Iterator[Vm]:
    port = guest.ssh_port or free_port()
    require_free(port)
    disk = guest.disk if keep else _overlay(guest.disk, where.folder / "overlay.qcow2")
    machine = Machine(
        kernel=guest.kernel,
        console_log=where.folder / "console.log",
        initrd=guest.initrd,
        cmdline=f"{CMDLINE} {guest.cmdline}".strip(),
        accelerator=acceleration.name,
        cpus=guest.cpus,
        memory_mb=guest.memory_mb,
        disk=disk,
        media=guest.media,
        ssh_port=port,
        qmp_socket=where.sockets / "qmp",
    )
    complaints = where.folder / "qemu.log"
    qemu = start_owned(machine.argv(), log=complaints)
    try:
        where.note(qemu.pid, QEMU)
        yield Vm(
            name=f"guest-{label}",
            target=Target("127.0.0.1", "root", port, guest.key, guest.host_key),
            acceleration=acceleration,
            console=Console(machine.console_log),
            complaints=complaints,
            qmp_socket=where.sockets / "qmp",
            qemu=qemu,
        )
    finally:
        process.kill_group(qemu)


def _reach(vm: Vm, deadline: float) -> VmHost:
    """Try SSH until it answers; a panic or the end of QEMU ends the wait at once."""
    while True:
        vm.check()
        try:
            return VmHost(vm.target, vm)
        except HostLostError as error:
            if time.monotonic() > deadline:
                raise BootError(
                    f"the guest did not answer over SSH in time; its console ends with:\n{vm.console.tail()}",
                    hint="give it more time, or see with 'rewind-bench vm' what it waits for",
                ) from error
        with contextlib.suppress(subprocess.TimeoutExpired):
            vm.qemu.wait(POLL_S)


def _shut_down(host: VmHost) -> None:
    """Power off cleanly, so that the disk can be booted again."""
    with contextlib.suppress(BenchError):
        host.run(["systemctl", "poweroff"], timeout_s=30)
    try:
        host.vm.qemu.wait(STOP_S)
    except subprocess.TimeoutExpired:
        quit_qemu(host.vm.qmp_socket)
        raise BootError(
            f"the guest did not shut down; its console ends with:\n{host.vm.console.tail()}"
        ) from None


def quit_qemu(socket_path: Path, timeout_s: float = 10.0) -> None:
    """Ask QEMU to write out its disks and end."""

    async def ask() -> None:
        client = QMPClient("rewind-bench")
        await client.connect(str(socket_path))
        try:
            await client.execute("quit")
        finally:
            await client.disconnect()

    with contextlib.suppress(QMPError, OSError, TimeoutError):
        asyncio.run(asyncio.wait_for(ask(), timeout_s))


def _overlay(base: Path, overlay: Path) -> Path:
    backing = ["-b", str(base.resolve()), "-F", "qcow2"]
    process.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(overlay)], timeout_s=60)
    return overlay


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def require_free(port: int) -> None:
    """Raise PortInUseError when the port is taken."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise PortInUseError(
            f"port {port} on 127.0.0.1 is taken",
            hint=f"see who has it: ss -ltnp 'sport = :{port}'; or choose another port in the profile",
        ) from error
