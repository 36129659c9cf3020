"""What this machine lacks, and the exact command that mends each."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from rich.table import Table

from bench import process
from bench.errors import BenchError, ConfigError, MissingToolError
from bench.hosts import kvm_probe
from bench.hosts.local import LocalHost
from bench.paths import cache_dir

#: ok; missing: nothing works without it; limited: works, but slower or not everything.
State = Literal["ok", "missing", "limited"]

DISK_BYTES = 12 << 30
MEMORY_BYTES = 6 << 30
OLDEST_PYTHON = (3, 11)
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
USERNS_SWITCH = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
#: program -> the Debian (and Ubuntu) package that has it, and what it is for.
PROGRAMS = {
    "apt-get": ("apt", "mmdebstrap fetches packages with it"),
    "mke2fs": ("e2fsprogs", "makes the guest's file system"),
    "mmdebstrap": ("mmdebstrap", "builds kernel, guest and images"),
    "qemu-img": ("qemu-utils", "makes the guest's disk"),
    "qemu-system-x86_64": ("qemu-system-x86", "runs the guest"),
    "setpriv": ("util-linux", "ends children with the harness"),
    "tar": ("tar", "packs images"),
}
#: What the tests need on top; they start a Docker daemon of their own where none answers.
TEST_PROGRAMS = {
    "busybox": ("busybox", "reads an initramfs back"),
    "dockerd": ("docker.io", "runs the containers of the tests"),
    "git": ("git", "takes a file out of the kernel series"),
    "iptables": ("iptables", "dockerd needs it"),
    "make": ("make", "compiles a small tree after each of its patches"),
    "patch": ("patch", "applies them"),
    "ssh": ("openssh-client", "logs in on the guest"),
}
SBIN = "/usr/sbin:/sbin"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    detail: str
    #: The command that mends it, or what to do; "" when nothing is needed.
    mend: str = ""
    #: Packages that mend it.
    packages: tuple[str, ...] = ()


def examine(*, testbed: str = "vm") -> list[Check]:
    """Look at what a run on `testbed` needs: "vm", "local" or "user@host"; "all" is for the tests."""
    if testbed not in ("vm", "local", "all") and "@" not in testbed:
        raise ConfigError([f"--testbed {testbed}: must be vm, local, all or user@host[:port]"])
    checks = [_python(), _disk(), _memory()]
    if testbed in ("vm", "all"):
        checks += [*_programs(PROGRAMS), *_keyring(), *_namespaces(), _kvm()]
    if testbed == "all":
        checks += [*_programs(TEST_PROGRAMS)]
    checks.append(_docker(needed=testbed == "local"))
    return checks


def missing(checks: Sequence[Check]) -> list[Check]:
    """Those without which a run cannot start."""
    return [check for check in checks if check.state == "missing"]


def require_guest(accel: kvm_probe.Choice) -> None:
    """Before minutes of building: what a guest will need. MissingToolError, AccessError."""
    wanted = {name: PROGRAMS[name] for name in ("qemu-system-x86_64", "qemu-img", "setpriv")}
    lacking = missing(list(_programs(wanted)))
    if lacking:
        raise MissingToolError(
            "a guest needs: " + ", ".join(check.name for check in lacking),
            hint=f"run: {shlex.join(install_command(lacking))}",
        )
    if accel == "kvm":
        kvm_probe.require()


def install_command(checks: Sequence[Check]) -> list[str]:
    """One command that installs all packages that are missing; [] when none is."""
    packages = sorted({name for check in checks if check.state != "ok" for name in check.packages})
    if not packages:
        return []
    return [*_sudo(), "apt-get", "install", "-y", "--no-install-recommends", *packages]


def install_missing(checks: Sequence[Check]) -> list[str]:
    """Install missing packages when root or with a passwordless sudo; returns the packages.

    Raises MissingToolError, whose hint is the command, when neither is so.
    """
    command = install_command(checks)
    if not command:
        return []
    if not may_install():
        raise MissingToolError(
            "system packages are missing, and this user may not install them",
            hint=f"run: {shlex.join(command)}",
        )
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    process.run([*_sudo(), "apt-get", "update", "-q"], timeout_s=600, env=env)
    process.run(command, timeout_s=1800, env=env)
    return [name for check in checks for name in check.packages]


def may_install() -> bool:
    """True as root on a machine with apt, or with a sudo that asks nothing."""
    if shutil.which("apt-get") is None:
        return False
    if os.geteuid() == 0:
        return True
    if shutil.which("sudo") is None:
        return False
    return process.run(["sudo", "-n", "true"], timeout_s=30, check=False).status == 0


def table(checks: Sequence[Check]) -> Table:
    """All checks for a terminal."""
    marks = {"ok": "[green]ok[/]", "missing": "[red]missing[/]", "limited": "[yellow]limited[/]"}
    result = Table("", "check", "found", "what to do", box=None, padding=(0, 2, 0, 0))
    for check in checks:
        result.add_row(marks[check.state], check.name, check.detail, check.mend)
    return result


def _sudo() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo"]


def _apt(package: str) -> str:
    return shlex.join([*_sudo(), "apt-get", "install", "-y", "--no-install-recommends", package])


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    state: State = "ok" if sys.version_info >= OLDEST_PYTHON else "missing"
    return Check("Python", state, version, "" if state == "ok" else "install Python 3.11 or newer")


def _disk() -> Check:
    place = cache_dir()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    state: State = "ok" if free >= DISK_BYTES else "missing"
    mend = f"free {DISK_BYTES >> 30} GiB, or set REWIND_BENCH_CACHE to a folder on a larger disk"
    return Check("disk space", state, f"{free / 2**30:.0f} GiB free for {cache_dir()}", _if(state, mend))


def _memory() -> Check:
    free = psutil.virtual_memory().available
    state: State = "ok" if free >= MEMORY_BYTES else "limited"
    mend = f"close programs until {MEMORY_BYTES >> 30} GiB are free, or give the guest less memory"
    return Check("memory", state, f"{free / 2**30:.1f} GiB free", _if(state, mend))


def _programs(wanted: Mapping[str, tuple[str, str]]) -> Iterator[Check]:
    for program, (package, purpose) in wanted.items():
        path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SBIN}")
        if path:
            yield Check(program, "ok", path)
        else:
            yield Check(program, "missing", f"not installed: {purpose}", _apt(package), (package,))


def _keyring() -> Iterator[Check]:
    if KEYRING.exists():
        yield Check("Debian's keys", "ok", str(KEYRING))
    else:
        package = "debian-archive-keyring"
        yield Check("Debian's keys", "missing", f"no {KEYRING}", _apt(package), (package,))


def _namespaces() -> Iterator[Check]:
    """What mmdebstrap needs to work without root."""
    if os.geteuid() == 0:
        return
    if shutil.which("newuidmap") is None:
        yield Check("newuidmap", "missing", "needed to build without root", _apt("uidmap"), ("uidmap",))
    user = pwd.getpwuid(os.getuid()).pw_name
    ranges = Path("/etc/subuid")
    listed = ranges.read_text().splitlines() if ranges.exists() else []
    if not any(line.startswith((f"{user}:", f"{os.getuid()}:")) for line in listed):
        mend = f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
        yield Check("sub-uids", "missing", f"none for {user} in {ranges}", mend)
    if USERNS_SWITCH.exists() and USERNS_SWITCH.read_text().strip() == "1":
        mend = "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        yield Check("user namespaces", "missing", "restricted by AppArmor", mend)


def _kvm() -> Check:
    refusal = kvm_probe.refused()
    if not refusal:
        return Check("KVM", "ok", "can be opened; a probe guest decides before the first boot")
    mend = kvm_probe.mend() if kvm_probe.DEVICE.exists() else ""
    return Check("KVM", "limited", f"{refusal}: {kvm_probe.SLOW}", mend)


def _docker(*, needed: bool) -> Check:
    host = LocalHost()
    try:
        version = str(host.docker().version().get("Version", "?"))
    except BenchError as error:
        state: State = "missing" if needed else "limited"
        start = shlex.join([*_sudo(), "systemctl", "start", "docker"])
        installed = shutil.which("dockerd") is not None
        packages = ("docker.io",) if needed and not installed else ()
        why = error.message if needed else "not reachable; only 'testbed = local' needs it"
        return Check("Docker", state, why, start if installed else _apt("docker.io"), packages)
    finally:
        host.close()
    return Check("Docker", "ok", version)


def _if(state: State, mend: str) -> str:
    return "" if state == "ok" else mend
