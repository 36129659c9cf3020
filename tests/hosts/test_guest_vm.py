"""Our guest, booted: commands, files, Docker, ports; and what happens when it dies."""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import signal
import socket
import tarfile
import threading

import pytest
from tiny_elf import EXIT, FOREVER, POWER_OFF, program

from bench.build.all import ImageSource, build_all, guest_steps, stock_steps
from bench.build.initramfs import Initramfs
from bench.build.kernel import Kernel, kernel_step
from bench.build.step import Step, ensure
from bench.errors import BootError, CommandError, HostLostError, KernelPanicError
from bench.hosts.initramfs_run import run_initramfs
from bench.hosts.ssh import SshHost
from bench.hosts.sshlogin import connect
from bench.hosts.vm import boot

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

IMAGE = "tiny:test"
AWKWARD = "/root/a folder/it's $HOME;é"


def tiny_image(work):
    """A docker-archive whose only file says hello."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        _add(tar, "hello", program(b"hello from a container\n", EXIT), 0o755)
    config = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/hello"]}}
    config["rootfs"] = {"type": "layers", "diff_ids": [f"sha256:{_sha(layer.getvalue())}"]}
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    with tarfile.open(work.out / "image.tar", "w") as tar:
        _add(tar, "layer.tar", layer.getvalue())
        _add(tar, "config.json", json.dumps(config).encode())
        _add(tar, "manifest.json", json.dumps(manifest).encode())


def _sha(data):
    return hashlib.sha256(data).hexdigest()


def _add(tar, name, data, mode=0o644):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


@pytest.fixture(scope="session")
def steps():
    made = guest_steps({IMAGE: ImageSource(Step("tiny-image", tiny_image, {"version": 1}))})
    build_all(made.all())
    return made


@pytest.fixture(scope="session")
def guest(steps):
    with boot(steps.guest(memory_mb=2048), label="tests") as host:
        yield host


def test_runs_the_kernel_we_built(guest, steps):
    assert guest.run(["uname", "-r"]).text == Kernel(steps.kernel.product).release
    assert "rewind-bench" in guest.run(["uname", "-r"]).text
    assert guest.run(["systemctl", "--failed", "--no-legend"]).text == ""


def test_arguments_input_and_status_arrive_as_they_are(guest):
    words = ["a b", "$HOME", "it's", '"', "*", "é\n", ""]
    assert guest.run(["printf", "%s|", *words]).stdout.decode() == "|".join(words) + "|"
    big = os.urandom(300_000)
    assert guest.run(["cat"], stdin=big).stdout == big
    done = guest.run(["sh", "-c", "echo out; echo err >&2; exit 7"], check=False)
    assert (done.status, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    with pytest.raises(CommandError, match="err"):
        guest.run(["sh", "-c", "echo err >&2; exit 7"])


def test_a_command_out_of_time_is_ended_over_there(guest):
    with pytest.raises(CommandError, match="did not finish"):
        guest.run(["sleep", "4711"], timeout_s=2)
    assert guest.run(["pgrep", "-f", "[s]leep 4711"], check=False).status == 1


def test_files_go_there_and_back(guest):
    data = os.urandom(1_000_000)
    guest.put(data, AWKWARD, 0o640)
    assert guest.get(AWKWARD) == data
    assert guest.run(["stat", "-c", "%a", AWKWARD]).text == "640"
    assert guest.run(["ls", "-A", "/root/a folder"]).text.count("\n") == 0
    assert b"MemAvailable" in guest.get("/proc/meminfo")
    with pytest.raises(CommandError, match="no such file"):
        guest.get("/nowhere")


def test_loaded_image_runs_in_docker(guest):
    client = guest.docker()
    info = client.info()
    assert (info["CgroupVersion"], info["Driver"]) == ("2", "overlay2")
    assert client.containers.run(IMAGE, remove=True) == b"hello from a container\n"
    limited = client.containers.run(
        IMAGE,
        remove=True,
        mem_limit="64m",
        cpu_shares=100,
        pids_limit=100,
        cpuset_cpus="0",
        security_opt=["seccomp=unconfined"],
    )
    assert limited == b"hello from a container\n"


def test_forwarded_port_carries_many_connections_both_ways(guest):
    with guest.forward(22) as address:
        banners = set()

        def ask():
            with socket.create_connection((address.host, address.port), timeout=60) as connection:
                banners.add(connection.recv(100)[:7])

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert banners == {b"SSH-2.0"}


def test_the_guest_serves_as_any_remote_machine(guest):
    host = SshHost(connect(guest.vm.target), name="remote")
    with contextlib.closing(host):
        assert host.accelerator == "unknown"
        assert host.run(["id", "-u"]).text == "0"
        assert host.docker().ping()


def test_killed_qemu_in_the_middle_of_a_command_is_a_lost_host(steps):
    with boot(steps.guest(memory_mb=1024), label="tests-kill") as host:
        threading.Timer(2, os.kill, (host.vm.pid, signal.SIGKILL)).start()
        with pytest.raises(HostLostError, match="lost"):
            host.run(["sleep", "600"], timeout_s=700)
        with pytest.raises(HostLostError):
            host.run(["true"])


def test_panic_in_mid_run_is_the_kernels_fault(steps):
    crash = ["sh", "-c", "echo c > /proc/sysrq-trigger; sleep 60"]
    machine = boot(steps.guest(memory_mb=1024), label="tests-panic")
    with machine as host, pytest.raises(KernelPanicError, match="sysrq"):
        host.run(crash)


def test_guest_that_panics_at_boot_is_told_in_seconds(steps):
    broken = dataclasses.replace(steps.guest(memory_mb=1024), cmdline="init=/bin/false")
    with pytest.raises(KernelPanicError, match="init"), boot(broken, label="tests-init"):
        pass


@pytest.fixture(scope="session")
def kernel():
    return Kernel(ensure(kernel_step()))


def _initramfs(tmp_path, end):
    archive = Initramfs()
    archive.file("/init", program(b"hello from init\n", end), 0o755)
    return archive.write(tmp_path / "initramfs")


def test_initramfs_runs_to_its_end_the_same_each_time_by_the_instruction_clock(kernel, tmp_path):
    archive = _initramfs(tmp_path, POWER_OFF)
    one = run_initramfs(kernel.elf, archive, clock="instructions")
    two = run_initramfs(kernel.elf, archive, clock="instructions")
    assert "hello from init" in one.text
    assert one.text == two.text
    assert not one.panicked
    compressed = run_initramfs(kernel.image, archive, clock="wall")
    assert "hello from init" in compressed.text


def test_initramfs_whose_init_ends_is_reported_as_a_panic(kernel, tmp_path):
    result = run_initramfs(kernel.elf, _initramfs(tmp_path, EXIT))
    assert result.panicked
    assert "Attempted to kill init" in result.trouble


def test_initramfs_that_never_ends_is_out_of_time(kernel, tmp_path):
    with pytest.raises(BootError, match="hello from init"):
        run_initramfs(kernel.elf, _initramfs(tmp_path, FOREVER), timeout_s=20)


def test_stock_kernel_stands_in_for_a_remote_machine():
    made = stock_steps()
    build_all(made.all())
    # One processor: Debian's kernel patches its own code while it runs, and QEMU before 8.0 can let
    # another emulated processor execute the breakpoint of a patch that is over ("Oops: int3").
    guest = made.guest(memory_mb=2048, cpus=1)
    with contextlib.ExitStack() as stack:
        machine = stack.enter_context(boot(guest, label="tests-stock", timeout_s=600))
        host = stack.enter_context(contextlib.closing(SshHost(connect(machine.vm.target), name="remote")))
        assert "cloud-amd64" in host.run(["uname", "-r"]).text
        assert host.docker().info()["CgroupVersion"] == "2"
        _check_user_with_sudo(stack, machine, host)


def _check_user_with_sudo(stack, machine, host):
    """Not root, not in the group docker: all goes through sudo."""
    # A password that matches nothing: with a locked account sshd would refuse the key too.
    host.run(["useradd", "-m", "-s", "/bin/sh", "-p", "*", "worker"])
    host.put(b"worker ALL=(ALL) NOPASSWD: ALL\n", "/etc/sudoers.d/worker", 0o440)
    host.run(["cp", "-r", "/root/.ssh", "/home/worker/.ssh"])
    host.run(["chown", "-R", "worker:worker", "/home/worker/.ssh"])
    target = dataclasses.replace(machine.vm.target, user="worker")
    worker = stack.enter_context(contextlib.closing(SshHost(connect(target), name="worker")))
    assert worker.run(["id", "-u"]).text == "0"
    worker.put(b"data", "/root/by worker", 0o600)
    assert worker.get("/root/by worker") == b"data"
    assert worker.docker().ping()
