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


def answer(extra, second="ok", ending=Ending.POWERED_OFF):
    boot = Boot("", TEXT.format(extra=extra, second=second), ending, 1.0, Path("somewhere"))
    return mmtests.Answer(frozenset(mmtests.outcomes(boot)), boot.wall_s)


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
