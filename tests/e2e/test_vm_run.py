"""Whole runs on the guest that we build and boot, and on a machine that is only an SSH address."""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from helpers import cells, run, start, the_run
from test_local_run import wait_for

from bench.build.all import build_all, stock_steps
from bench.hosts.leftovers import read_note
from bench.hosts.vm import boot
from bench.paths import cache_dir, state_dir

pytestmark = [pytest.mark.vm, pytest.mark.timeout(2400)]

#: Five cells, seconds each.
SMALL = (
    *("run", "--profile", "smoke", "--schemes", "baseline", "--workloads", "hello,matmul"),
    *("--set", "experiments.latency.requests=20"),
)
#: The same cells, each long enough to be ended in its middle.
LONGER = (*SMALL, "--set", "experiments.latency.think_ms=500", "--set", "experiments.memory.requests=20")


def test_smoke_compares_every_scheme_on_our_kernel(tmp_path):
    said = run("run", "--profile", "smoke", "--out", str(tmp_path))
    assert said.status == 0, said.text
    folder = the_run(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert "rewind-bench" in manifest["testbed"]["kernel"]
    assert manifest["testbed"]["accelerator"] in ("kvm", "tcg")
    assert manifest["testbed"]["cgroup"] == 2
    assert not cells(folder, "failed")
    finished = cells(folder)
    assert len(finished) == manifest["planned_cells"]
    assert {cell["scheme"] for cell in finished.values()} == set(manifest["schemes"])
    assert sum(cell["wrong"] + cell["dropped"] for cell in finished.values()) == 0
    html = (folder / "report.html").read_text()
    assert manifest["testbed"]["kernel"] in html
    left = [read_note(where) for where in (state_dir() / "vms").glob("*")]
    assert folder.name not in {note.label for note in left if note}, "a machine was left"


def test_each_lost_guest_costs_one_cell_and_a_killed_run_is_gone_on_with(tmp_path):
    log, out = tmp_path / "log", tmp_path / "runs"
    harness = start(*LONGER, "--out", str(out), log=log)

    def finished(count):
        return lambda: out.is_dir() and any(out.iterdir()) and len(cells(the_run(out))) >= count

    def next_machine(*lost):
        wait_for(lambda: not {*lost} & set(machines_of(harness.pid)), harness, 60)
        wait_for(lambda: machines_of(harness.pid) and measuring(harness.pid), harness, 900)
        (machine,) = machines_of(harness.pid)
        return machine

    try:
        wait_for(finished(1), harness, 900)
        (first,) = machines_of(harness.pid)
        with told_to_panic(first) as panic:
            wait_for(lambda: measuring(harness.pid), harness, 600)
            panic()
        second = next_machine(first)
        second.kill()
        third = next_machine(second)
    finally:
        harness.kill()
        harness.wait()
    folder, said = the_run(out), log.read_text()
    assert said.count("making it anew") == 2, said
    assert "Traceback" not in said, said
    failed = [cell["error"] for cell in cells(folder, "failed").values()]
    assert len(failed) == 2, failed
    assert any("panicked" in error for error in failed), failed
    assert any("lost" in error for error in failed), failed
    kept = finish_times(folder)
    assert kept
    third.wait(60)  # ends with its harness
    assert run("clean", env={"DOCKER_HOST": "tcp://127.0.0.1:1"}).status == 0  # others are at work there
    again = run(*LONGER, "--out", str(out), "--resume")
    assert again.status == 0, again.text
    assert len(cells(folder)) == json.loads((folder / "manifest.json").read_text())["planned_cells"]
    assert not cells(folder, "failed")
    assert kept.items() <= finish_times(folder).items(), "a finished cell was measured again"


def finish_times(folder: Path) -> dict[str, int]:
    """Cell -> when its record was written."""
    return {path: (folder / "cells" / path / "cell.json").stat().st_mtime_ns for path in cells(folder)}


def test_the_same_run_on_a_machine_known_only_by_its_address(tmp_path):
    """A guest with Debian's own kernel stands in for somebody's machine."""
    steps = stock_steps()
    build_all(steps.all())
    guest = steps.guest(memory_mb=2048, cpus=1)  # see test_guest_vm.py
    with boot(guest, label="remote") as remote:
        target = remote.vm.target
        home = login_for(tmp_path / "home", target.port, guest.key, guest.host_key)
        where = f"root@127.0.0.1:{target.port}"
        out = tmp_path / "runs"
        said = run(
            *SMALL,
            "--testbed",
            where,
            "--out",
            str(out),
            env={"HOME": str(home), "REWIND_BENCH_CACHE": str(cache_dir())},
        )
        assert said.status == 0, said.text
        folder = the_run(out)
        testbed = json.loads((folder / "manifest.json").read_text())["testbed"]
        assert testbed["kind"] == "ssh"
        assert "rewind-bench" not in testbed["kernel"]
        assert not cells(folder, "failed")
        listed = remote.run(["docker", "ps", "-aq"]).text
        assert listed == "", "containers were left on the remote machine"


def login_for(home: Path, port: int, key: Path, host_key: str) -> Path:
    """A home folder whose SSH settings let in, as a user's do."""
    folder = home / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "id_ed25519").write_bytes(key.read_bytes())
    (folder / "id_ed25519").chmod(0o600)
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    return home


def machines_of(harness: int) -> list[psutil.Process]:
    """What a harness has booted and not lost."""
    return [child for child in psutil.Process(harness).children(recursive=True) if runs_qemu(child)]


def runs_qemu(process: psutil.Process) -> bool:
    """And is not only waiting to be buried."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.name().startswith("qemu-system") and process.status() != psutil.STATUS_ZOMBIE
    return False


def measuring(harness: int) -> bool:
    """A cell is in hand: its load generator runs."""
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(harness).children(recursive=True)
        return any("bench.load.worker" in child.cmdline() for child in children)
    return False


@contextlib.contextmanager
def told_to_panic(qemu: psutil.Process) -> Iterator[Callable[[], None]]:
    """A shell in the guest that waits for the word: a login takes longer than some cells."""
    script = "echo 1 > /proc/sys/kernel/sysrq; echo ready; read -r _; echo c > /proc/sysrq-trigger"
    with subprocess.Popen(
        [*login(qemu), f"sh -c {shlex.quote(script)}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as shell:
        try:
            assert shell.stdout.readline() == b"ready\n"

            def panic() -> None:
                shell.stdin.write(b"\n")
                shell.stdin.flush()
                qemu.wait(60)  # the word has to arrive before the shell is ended

            yield panic
        finally:
            shell.kill()  # where it stands it would wait for TCP to give up


def login(qemu: psutil.Process) -> list[str]:
    """The command that logs in on a machine of the harness."""
    words = " ".join(qemu.cmdline())
    port = words.split("hostfwd=tcp:127.0.0.1:")[1].split("-")[0]
    (disk,) = {w.split("=")[1] for part in qemu.cmdline() for w in part.split(",") if w.startswith("file=")}
    key = key_behind(Path(disk))
    ssh = ["ssh", "-p", port, "-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"]
    return [*ssh, "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=60", "root@127.0.0.1"]


def key_behind(overlay: Path) -> Path:
    """The SSH key beside the disk that an overlay was made on."""
    said = subprocess.run(
        ["qemu-img", "info", "-U", "--output=json", str(overlay)], capture_output=True, check=True
    ).stdout
    return Path(json.loads(said)["full-backing-filename"]).parent / "id_ed25519"
