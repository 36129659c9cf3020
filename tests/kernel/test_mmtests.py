"""The kernel's own memory tests: what counts as a difference between two kernels."""

from pathlib import Path

import pytest

from bench.kernel import mmtests
from bench.kernel.boot import Boot, Ending

TEXT = """# program begins: /mm/pagemap_ioctl
1..2
ok 1 transact_test Extra pages {extra} (0.0%), extra thread faults {extra}.
{second} 2 sanity
# program ends: status 0 signal 0 after 1.000 s
# all programs ended
"""


def answer(extra, second="ok", ending=Ending.POWERED_OFF, text=TEXT, console=""):
    boot = Boot(console, text.format(extra=extra, second=second), ending, 1.0, Path("somewhere"))
    return mmtests.answer_of(boot)


def verdict(monkeypatch, tmp_path, *answers):
    """Of boots in order: without, with, and both again."""
    left = list(answers)
    monkeypatch.setattr(mmtests, "run", lambda *_: left.pop(0))
    return mmtests.compare(Path("without"), Path("with"), "cow", tmp_path).problems


def test_counts_of_one_boot_are_no_difference():
    assert mmtests.differences(answer(6), answer(20)) == []


@pytest.mark.parametrize(
    ("patched", "words"),
    [
        (answer(6, "not ok"), "sanity"),
        (answer(6, ending=Ending.DIED), "machine panicked"),
    ],
)
def test_a_failure_and_a_panic_are(patched, words):
    assert any(words in line for line in mmtests.differences(answer(6), patched))


def test_a_difference_counts_when_it_comes_twice(monkeypatch, tmp_path):
    good, bad = answer(6), answer(6, "not ok")
    assert verdict(monkeypatch, tmp_path, good, bad, good, good) == ()
    assert verdict(monkeypatch, tmp_path, good, bad, good, bad) != ()


@pytest.mark.parametrize(
    "grave", [answer(6, console="[ 1.0] BUG: Bad page state in x"), answer(6, ending=Ending.TIMED_OUT)]
)
def test_a_report_of_the_kernel_or_a_hang_counts_at_once(monkeypatch, tmp_path, grave):
    good = answer(6)
    assert verdict(monkeypatch, tmp_path, good, grave, good, good) != ()
    assert verdict(monkeypatch, tmp_path, grave, good, good, good) == ()


def test_a_category_stays_within_the_time_of_a_piece(monkeypatch, tmp_path):
    boots = []
    monkeypatch.setattr(
        mmtests, "run", lambda *_: boots.append(1) or answer(6, "not ok" if len(boots) % 2 else "ok")
    )
    mmtests.compare(Path("without"), Path("with"), "cow", tmp_path)
    assert len(boots) * mmtests.LIMIT_S < 5400


def test_a_verdict_is_named_after_its_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(mmtests, "run", lambda *_: answer(6))
    found = mmtests.compare(Path("without"), Path("with"), "cow", tmp_path / "mm-norewind-cow")
    assert found.piece == "mm-norewind-cow"


def test_a_report_of_both_kernels_is_no_difference():
    console = "[ 1.0] WARNING: CPU: {} PID: {} at mm/gup.c:1 f+0x1/0x2"
    one, other = (answer(6, console=console.format(cpu, pid)) for cpu, pid in ((0, 77), (1, 93)))
    assert mmtests.problems(one, other) == []


EMPTY = "# all programs ended"
SKIPPED = TEXT.replace("ok 1", "ok 1 # SKIP").replace("{second} 2", "ok 2 # SKIP")
NOT_STARTED = """# program begins: /mm/cow
# cannot run /mm/cow: No such file or directory
# program ends: status 127 signal 0 after 0.001 s
# all programs ended
"""


@pytest.mark.parametrize("text", [EMPTY, SKIPPED, NOT_STARTED, NOT_STARTED.replace("status 127", "status 4")])
def test_two_kernels_that_answer_nothing_do_not_agree(monkeypatch, tmp_path, text):
    nothing = answer(6, text=text)
    found = verdict(monkeypatch, tmp_path, *[nothing] * 4)
    assert found == ("without the series: no test was run", "with the series: no test was run")


def test_two_hangs_do_not_agree(monkeypatch, tmp_path):
    hung = answer(6, ending=Ending.TIMED_OUT)
    assert len(verdict(monkeypatch, tmp_path, *[hung] * 4)) == 2
