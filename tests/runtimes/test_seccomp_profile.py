"""The system call filter is what its script says."""

from __future__ import annotations

import importlib.util
import json

from bench.paths import RUNTIMES

spec = importlib.util.spec_from_file_location("seccomp", RUNTIMES / "common" / "seccomp.py")
seccomp = importlib.util.module_from_spec(spec)
spec.loader.exec_module(seccomp)


def test_file_is_up_to_date():
    assert seccomp.PROFILE.read_text() == seccomp.text()


def test_allows_by_default_and_denies_without_killing():
    profile = json.loads(seccomp.PROFILE.read_text())
    assert profile["defaultAction"] == "SCMP_ACT_ALLOW"
    assert {rule["action"] for rule in profile["syscalls"]} == {"SCMP_ACT_ERRNO"}
    denied = {name for rule in profile["syscalls"] if not rule["args"] for name in rule["names"]}
    assert {"mount", "unshare", "keyctl", "bpf", "userfaultfd", "clone3", "setns", "kexec_load"} <= denied
    assert not {"ptrace", "process_vm_writev", "chroot", "clone"} & denied  # of use to a scheme


def test_no_name_twice():
    assert len(seccomp.DENIED) == len(set(seccomp.DENIED))
