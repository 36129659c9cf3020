"""Plans: what a kernel without the facility must say, and which verdicts are used again."""

from pathlib import Path

from bench.kernel import plan, selftests, suite, tap
from bench.kernel.boot import Boot, Ending

ABSENT = """# program begins: /selftests/smoke
{line}
# program ends: status {status} signal 0 after 0.100 s
# all programs ended"""


def absent(line, status=1):
    text = ABSENT.format(line=line, status=status)
    results = tap.parse(text.splitlines())
    boot = Boot("", text, Ending.POWERED_OFF, 1.0, Path("somewhere"))
    report = selftests.Report(results, (), boot, ("/selftests/smoke",))
    return plan.expect_absent(suite.verdict_of("absent", report))


def test_a_kernel_without_the_facility_says_so():
    assert absent("Bail out! this kernel has no REWIND").problems == ()


def test_a_program_that_cannot_run_proves_nothing():
    problems = absent("# cannot run /selftests/smoke: No such file or directory", 127).problems
    assert problems[-1] == "a kernel without the facility did not say that it has none"
    assert len(absent("Bail out! process 77 cannot be killed").problems) == 2
