"""Hooked paths: two kernels agree only on what both have measured."""

from pathlib import Path

import pytest

from bench.errors import KernelPanicError, RunIncompleteError
from bench.kernel import idle
from bench.kernel.boot import Boot, Ending

GOOD = """# program begins: /bench/idle
{"kind": "brk", "ns": 100.00}
{"kind": "fork, exit, wait", "ns": 100000.00}
# program ends: status 0 signal 0 after 0.100 s
# all programs ended
"""


def boot(text=GOOD, ending=Ending.POWERED_OFF, console=""):
    return Boot(console, text, ending, 1.0, Path("somewhere"))


def judged(monkeypatch, tmp_path, without, patched):
    boots = {"without": without, "with": patched}
    monkeypatch.setattr(idle, "measure", lambda _, folder: idle.figures(boots[folder.name]))
    return idle.verdict(Path("a"), Path("b"), tmp_path).problems


def test_five_instructions_more_are_the_limit(monkeypatch, tmp_path):
    slower = GOOD.replace("100.00", "106.00")
    assert judged(monkeypatch, tmp_path, boot(), boot()) == ()
    assert len(judged(monkeypatch, tmp_path, boot(), boot(slower))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "# all programs ended",
        GOOD.replace("# all programs ended", ""),
        GOOD.replace("status 0", "status 1"),
        "\n".join(line for line in GOOD.splitlines() if not line.startswith("{")),
    ],
)
def test_a_boot_that_measured_nothing_is_no_agreement(monkeypatch, tmp_path, text):
    with pytest.raises(RunIncompleteError):
        idle.figures(boot(text))
    assert len(judged(monkeypatch, tmp_path, boot(text), boot(text))) == 2


@pytest.mark.parametrize(
    "trouble", [boot(ending=Ending.DIED), boot(console="[ 1.0] BUG: unable to handle page fault")]
)
def test_a_kernel_in_trouble_is_a_verdict(monkeypatch, tmp_path, trouble):
    with pytest.raises(KernelPanicError):
        idle.figures(trouble)
    (problem,) = judged(monkeypatch, tmp_path, boot(), trouble)
    assert problem.startswith("with the series: the kernel did not come through")


def test_a_path_that_one_kernel_lacks_is_a_problem(monkeypatch, tmp_path):
    fewer = GOOD.replace('{"kind": "brk", "ns": 100.00}\n', "")
    assert judged(monkeypatch, tmp_path, boot(), boot(fewer)) == ("brk: on one kernel only",)
    assert judged(monkeypatch, tmp_path, boot(fewer), boot()) == ("brk: on one kernel only",)
