"""Each thing that can be wrong with the machine in front of us has one clear error."""

import contextlib
import os
import socket
import tempfile
from pathlib import Path

import pytest

from bench import doctor
from bench.errors import AccessError, HostLostError, MissingToolError, PortInUseError, UserError
from bench.hosts import kvm_probe
from bench.hosts.initramfs_run import run_initramfs
from bench.hosts.local import LocalHost
from bench.hosts.qemu import Machine
from bench.hosts.sshlogin import Target, connect
from bench.hosts.vm import Guest, boot, free_port, require_free


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REWIND_BENCH_CACHE", str(tmp_path / "cache"))


def test_missing_qemu_names_doctor(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="qemu-system-x86_64") as caught:
        run_initramfs(tmp_path / "kernel", tmp_path / "initramfs")
    assert "doctor" in caught.value.hint


def test_taken_port_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortInUseError, match=str(port)):
            require_free(port)
        guest = Guest(tmp_path / "k", tmp_path / "d.qcow2", tmp_path / "key", "", accel="tcg", ssh_port=port)
        with pytest.raises(PortInUseError, match=str(port)), boot(guest, label="x"):
            pass


@contextlib.contextmanager
def not_root():
    """Root may open anything: look as nobody."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_kvm_without_permission_is_said():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        device = folder / "kvm"
        device.touch(mode=0o000)
        with not_root():
            assert "cannot be opened (Permission denied)" in kvm_probe.refused(device)


def test_kvm_that_cannot_be_opened_is_an_access_error_or_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(kvm_probe, "refused", lambda: "/dev/kvm cannot be opened (Permission denied)")
    with pytest.raises(AccessError, match="Permission denied") as caught:
        kvm_probe.choose("kvm", tmp_path / "kernel")
    assert "usermod -aG kvm" in caught.value.hint
    chosen = kvm_probe.choose("auto", tmp_path / "kernel")
    assert chosen.name == "tcg"
    assert "slower" in chosen.warning


def test_absent_kvm_is_refused(tmp_path):
    assert "does not exist" in kvm_probe.refused(tmp_path / "kvm")


def test_a_machine_that_does_not_answer_is_lost_with_the_command_to_try():
    with pytest.raises(HostLostError) as caught:
        connect(Target("127.0.0.1", "root", free_port()), timeout_s=5)
    assert caught.value.hint.startswith("try: ssh -p")


def test_targets_are_read(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Target.parse("root@node1:2222") == Target("node1", "root", 2222)
    assert Target.parse("node1") == Target("node1", "", 22)
    for bad in ("", "root@", "root@node:x"):
        with pytest.raises(UserError, match="user@host"):
            Target.parse(bad)


def test_ssh_config_is_respected(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host short\n HostName long.test\n User me\n Port 99\n")
    assert Target.parse("short") == Target("long.test", "me", 99)


def test_counted_machine_has_nothing_that_varies(tmp_path):
    argv = " ".join(
        Machine(tmp_path / "k", tmp_path / "c", tmp_path / "i", clock="instructions", cpus=4).argv()
    )
    for word in ("-icount shift=0,sleep=off", "thread=single", "-smp 1", "erms=off,fsrm=off", "clock=vm"):
        assert word in argv
    assert "nokaslr norandmaps" in argv
    assert "virtio" not in argv


def test_local_host_writes_atomically_and_reads_proc(tmp_path):
    host = LocalHost()
    host.put(b"data", str(tmp_path / "new" / "file"), 0o600)
    assert host.get(str(tmp_path / "new" / "file")) == b"data"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]
    assert b"MemTotal" in host.get("/proc/meminfo")
    with host.forward(80) as address:
        assert (address.host, address.port) == ("127.0.0.1", 80)


def test_doctor_prints_one_command_for_all_that_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor, "SBIN", "")
    checks = doctor.examine()
    names = {check.name for check in doctor.missing(checks)}
    assert {"qemu-system-x86_64", "mmdebstrap", "qemu-img"} <= names
    command = doctor.install_command(checks)
    assert {"qemu-system-x86", "mmdebstrap", "qemu-utils"} <= set(command)
    assert all(check.mend for check in checks if check.state == "missing")
    with pytest.raises(MissingToolError) as caught:
        doctor.install_missing(checks)
    assert "apt-get install" in caught.value.hint
    assert doctor.table(checks).row_count == len(checks)
