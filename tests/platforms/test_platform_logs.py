import pytest

from bench.platforms.embedded.logs import SENTINEL, LogSplitter

END = SENTINEL + b"\n"


class Collected:
    def __init__(self):
        self.lines = None

    def __call__(self, lines):
        assert self.lines is None
        self.lines = [line.split(" ", 1)[1] for line in lines]


def expect(log, limit=1000):
    found = Collected()
    return found, log.expect(limit, found)


def test_lines_up_to_both_sentinels():
    log = LogSplitter()
    found, _ = expect(log)
    log.feed("stdout", b"one\ntwo\n" + END)
    assert found.lines is None
    log.feed("stderr", b"oops\n" + END)
    assert found.lines == ["stdout: one", "stdout: two", "stderr: oops"]


@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_output_may_be_cut_anywhere(size):
    log = LogSplitter()
    found, _ = expect(log)
    data = "ä line\nlast without newline".encode() + END
    for at in range(0, len(data), size):
        log.feed("stdout", data[at : at + size])
    log.feed("stderr", END)
    assert found.lines == ["stdout: ä line", "stdout: last without newline"]


def test_two_activations_do_not_show_each_others_lines():
    log = LogSplitter()
    first, _ = expect(log)
    second, _ = expect(log)
    log.feed("stdout", b"a\n" + END + b"b\n" + END)
    log.feed("stderr", END + b"c\n" + END)
    assert first.lines == ["stdout: a"]
    assert second.lines == ["stdout: b", "stderr: c"]


def test_the_end_of_the_container_completes_what_is_open():
    log = LogSplitter()
    found, _ = expect(log)
    log.feed("stdout", b"half")
    log.end()
    assert found.lines == ["stdout: half"]
    late, _ = expect(log)
    assert late.lines == []


def test_lines_beyond_the_limit_are_cut_with_a_remark():
    log = LogSplitter()
    found, _ = expect(log, limit=10)
    log.feed("stdout", b"12345\n" * 1000 + END)
    log.feed("stderr", END)
    assert found.lines[0] == "stdout: 12345"
    assert len(found.lines) == 2
    assert "exceeds the limit of 10 bytes" in found.lines[1]


def test_output_before_the_first_request_belongs_to_it():
    log = LogSplitter()
    log.feed("stdout", b"starting\n")
    found, _ = expect(log)
    log.feed("stdout", END)
    log.feed("stderr", END)
    assert found.lines == ["stdout: starting"]


def test_an_activation_whose_sentinels_do_not_come_is_closed_with_what_there_is():
    log = LogSplitter()
    found, wanted = expect(log)
    log.feed("stdout", b"x\n" + END)
    log.abandon(wanted)
    assert found.lines == ["stdout: x"]
