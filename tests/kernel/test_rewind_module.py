"""The Python binding, on a kernel without REWIND: what a launcher sees there."""

import errno
import importlib.util

import pytest

from bench.paths import RUNTIMES

spec = importlib.util.spec_from_file_location("rewind_module", RUNTIMES / "common" / "rewind.py")
rewind = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rewind)


@pytest.mark.parametrize("call", ["checkpoint", "rewind", "rewindable"])
def test_a_kernel_without_rewind_says_so(call):
    if rewind.state():
        pytest.fail("this test expects to run on a kernel without REWIND")
    with pytest.raises(rewind.UnavailableError) as caught:
        getattr(rewind, call)()
    assert caught.value.errno == errno.ENOSYS
    assert caught.value.call == call


def test_a_refusal_carries_the_reason(tmp_path, monkeypatch):
    shown = tmp_path / "rewind"
    shown.write_text("generation 3\nrefusal a child process is alive\n")
    monkeypatch.setattr(rewind, "STATE_FILE", str(shown))
    error = rewind.RefusedError("rewind", errno.EOPNOTSUPP, rewind.state()[rewind.REASON_KEY])
    assert error.reason == "a child process is alive"
    assert "a child process is alive" in str(error)
    assert isinstance(error, OSError)


def test_state_is_empty_where_the_kernel_shows_none(monkeypatch):
    monkeypatch.setattr(rewind, "STATE_FILE", "/nonexistent/rewind")
    assert rewind.state() == {}
