"""The Python binding: errors by number, what stands in the kernel's headers too, and its calls for real."""

import ctypes
import errno
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.build.kernel import series_of
from bench.paths import KERNEL, RUNTIMES

MODULE = RUNTIMES / "common" / "rewind.py"
spec = importlib.util.spec_from_file_location("rewind_module", MODULE)
rewind = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rewind)

CALLS = ("checkpoint", "rewind", "rewindable")
#: Prints what a call of a new process returns or raises, with the error's number and call.
CALL = """
import sys
sys.path.insert(0, sys.argv[1])
import rewind
try:
    print(getattr(rewind, sys.argv[2])())
except rewind.RewindError as error:
    print(type(error).__name__, error.errno, error.call)
"""
#: What is right where the kernel has REWIND: who started the tests may have permitted it or not, and an
#: administrator may have switched it off.
NOT_PERMITTED = f"NotPermittedError {errno.EPERM}"
ANSWERS = {
    "checkpoint": {f"{NOT_PERMITTED} checkpoint", "0"},
    "rewind": {f"{NOT_PERMITTED} rewind", f"NoCheckpointError {errno.ENODATA} rewind"},
    "rewindable": {f"{NOT_PERMITTED} rewindable", "None"},
}


@pytest.mark.parametrize("call", CALLS)
def test_a_new_process_is_answered_as_its_kernel_can(call):
    argv = [sys.executable, "-B", "-c", CALL, str(MODULE.parent), call]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    known = ANSWERS[call] if rewind.state() else {f"UnavailableError {errno.ENOSYS} {call}"}
    assert done.stdout.strip() in known


KINDS = {
    errno.EPERM: rewind.NotPermittedError,
    errno.ENODATA: rewind.NoCheckpointError,
    errno.EBUSY: rewind.BusyError,
    errno.EOPNOTSUPP: rewind.RefusedError,
    errno.ENOSYS: rewind.UnavailableError,
    errno.EINVAL: rewind.RewindError,
    errno.EIO: rewind.RewindError,
}


class Kernel:
    """In place of the C library: answers each call with a result or the number of an error."""

    def __init__(self, result=0, error=0):
        self.result, self.error, self.calls = result, error, []

    def syscall(self, number, flags):
        self.calls.append((number, int(flags)))
        ctypes.set_errno(self.error)
        return -1 if self.error else self.result


@pytest.fixture
def kernel(monkeypatch, tmp_path):
    """A kernel that gives a reason, as it does once it has refused anything, and answers as it is told."""
    shown = tmp_path / "rewind"
    shown.write_text("generation 3\nrefusal a child process is alive\n")
    monkeypatch.setattr(rewind, "STATE_FILE", str(shown))

    def answer(**how):
        answering = Kernel(**how)
        monkeypatch.setattr(rewind, "_libc", answering)
        return answering

    return answer


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("number", KINDS, ids=errno.errorcode.get)
def test_each_error_has_its_class(kernel, number, call):
    kernel(error=number)
    with pytest.raises(rewind.RewindError) as caught:
        getattr(rewind, call)()
    assert type(caught.value) is KINDS[number]
    assert isinstance(caught.value, OSError)
    assert (caught.value.errno, caught.value.call) == (number, call)


def test_no_class_is_left_out():
    assert set(rewind._KINDS) == {number for number, kind in KINDS.items() if kind is not rewind.RewindError}


def test_a_refusal_alone_carries_the_reason(kernel):
    for number, kind in KINDS.items():
        kernel(error=number)
        with pytest.raises(kind) as caught:
            rewind.checkpoint()
        reason = "a child process is alive" if kind is rewind.RefusedError else ""
        assert caught.value.reason == reason
        assert reason in str(caught.value)


def test_a_generation_is_returned_and_flags_are_handed_on(kernel):
    answering = kernel(result=7)
    assert rewind.checkpoint(rewind.Flags.SEAL | rewind.Flags.FULL_WALK) == 7
    assert rewind.rewindable() is None
    with pytest.raises(AssertionError):
        rewind.rewind(rewind.Flags.NO_REUSE)
    assert answering.calls == [(548, 1 << 6 | 1 << 4), (550, 0), (549, 1 << 2)]


def changed_lines(path):
    """What the series adds to a file and takes from it, as (sign, line), in order."""
    for patch in series_of(KERNEL / "patches"):
        for part in patch.read_text().split("\ndiff --git ")[1:]:
            name, *lines = part.splitlines()
            if name.endswith(f" b/{path}"):
                yield from ((line[0], line[1:]) for line in lines if re.match(r"[-+](?![-+]{2} )", line))


def test_flags_are_those_of_the_kernels_header():
    values = {}
    for sign, line in changed_lines(Path("include/uapi/linux/rewind.h")):
        match = re.match(r"#define REWIND_(\w+)\s+(?:\(1 << (\d+)\)|(0x[0-9a-f]+))$", line)
        if match and sign == "+":
            values[match[1]] = 1 << int(match[2]) if match[2] else int(match[3], 16)
        elif match:
            del values[match[1]]
    if not values:
        pytest.skip("there is no series")
    assert values.pop("IGNORED") == 3
    assert values == {flag.name: flag.value for flag in rewind.Flags}


def test_numbers_are_those_of_the_kernels_table():
    table = [
        line.split()
        for sign, line in changed_lines(Path("arch/x86/entry/syscalls/syscall_64.tbl"))
        if sign == "+" and line[:1].isdigit()
    ]
    if not table:
        pytest.skip("there is no series")
    assert {name: int(number) for number, _, name, _ in table} == {
        call: getattr(rewind, f"NR_{call.upper()}") for call in CALLS
    }


def test_state_is_empty_where_the_kernel_shows_none(monkeypatch):
    monkeypatch.setattr(rewind, "STATE_FILE", "/nonexistent/rewind")
    assert rewind.state() == {}
