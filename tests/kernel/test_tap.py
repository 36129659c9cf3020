"""The results channel: nothing a boot says, or fails to say, may get lost."""

from bench.kernel.tap import Verdict, parse

BEGIN = "# program begins: REWIND_FLAGS=4 /selftests/memory -s 7"
END = "# program ends: status {} signal {} after 1.250 s"
LAST = "# all programs ended"


def whole(*lines, status=0, signal=0):
    return parse([BEGIN, "TAP version 13", *lines, END.format(status, signal), LAST])


def test_results_carry_their_diagnostics():
    results = whole(
        "1..2",
        "# case store, armed",
        "ok 1 store, armed",
        "# case store, hot",
        "#   memory.c:80: page 3 differs",
        "not ok 2 store, hot",
        status=1,
    )
    (program,) = results.programs
    assert results.complete
    assert program.ended
    assert program.name == "memory"
    assert program.seconds == 1.25
    assert [(case.name, case.verdict) for case in program.cases] == [
        ("store, armed", Verdict.PASS),
        ("store, hot", Verdict.FAIL),
    ]
    assert program.failures[0].diagnostics == ("memory.c:80: page 3 differs",)


def test_skip_is_not_a_pass():
    results = whole("1..1", "ok 1 KSM # SKIP no KSM")
    assert results.count(Verdict.SKIP) == 1
    assert results.count(Verdict.PASS) == 0


def test_a_plan_of_zero_skips_the_program():
    results = whole("1..0 # SKIP no such facility")
    assert results.programs[0].cases[0].name == "no such facility"
    assert results.count(Verdict.FAIL) == 0


def test_a_case_that_took_the_machine_down_is_named():
    results = parse([BEGIN, "1..3", "ok 1 a", "# case b", "# something"])
    (program,) = results.programs
    assert not results.complete
    assert not program.ended
    assert program.failures[0].name == "b"
    assert "the boot ended while this ran" in program.failures[0].diagnostics


def test_missing_results_fail():
    results = whole("1..3", "ok 1 a", "ok 2 b")
    assert results.programs[0].failures[0].diagnostics == ("2 results, but 3 were announced",)


def test_bail_out_fails():
    results = whole("1..3", "Bail out! this kernel has no REWIND", status=1)
    assert "bailed out: this kernel has no REWIND" in results.programs[0].failures[0].diagnostics


def test_death_of_the_program_fails():
    results = whole("1..1", "# case a", signal=11)
    assert results.programs[0].failures[0].name == "a"
    assert "killed by signal 11" in results.programs[0].failures[0].diagnostics


def test_a_bad_status_without_a_failed_case_fails():
    results = whole("1..1", "ok 1 a", status=3)
    assert results.count(Verdict.FAIL) == 1


def test_no_output_at_all_fails():
    results = parse([BEGIN, END.format(127, 0), LAST])
    assert results.count(Verdict.FAIL) == 1


def test_an_empty_channel_is_not_complete():
    results = parse([])
    assert not results.complete
    assert results.programs == ()


def test_carriage_returns_and_noise_do_no_harm():
    results = parse(
        [line + "\r\n" for line in ["boot noise", BEGIN, "1..1", "ok 1 a", END.format(0, 0), LAST]]
    )
    assert results.complete
    assert results.count(Verdict.PASS) == 1


def test_remarks_after_the_last_result_are_kept():
    results = whole("1..1", "ok 1 random program", "# operations store 12", "# operations total 12")
    assert results.programs[0].remarks == ("operations store 12", "operations total 12")
