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
    assert {"mount", "unshare", "keyctl", "bpf", "clone3", "setns", "kexec_load"} <= denied
    assert not {"ptrace", "process_vm_writev", "chroot", "clone"} & denied  # of use to a scheme


def test_no_name_twice():
    assert len(seccomp.DENIED) == len(set(seccomp.DENIED))


def test_userfaultfd_is_for_faults_of_user_mode():
    (rule,) = [rule for rule in seccomp.profile()["syscalls"] if "userfaultfd" in rule["names"]]
    (condition,) = rule["args"]
    user_mode_only, close_on_exec = 1, 0o2000000
    assert [denied(condition, flags) for flags in (0, close_on_exec)] == [True, True]
    assert [denied(condition, flags | user_mode_only) for flags in (0, close_on_exec)] == [False, False]


def denied(condition, flags):
    assert (condition["index"], condition["op"]) == (0, "SCMP_CMP_MASKED_EQ")
    return flags & condition["value"] == condition["valueTwo"]


def test_calls_of_the_rewind_kernel_reach_it():
    named = {name for rule in seccomp.profile()["syscalls"] for name in rule["names"]}
    assert not {"checkpoint", "rewind", "rewindable", "548", "549", "550"} & named
