"""Replaying a random program: its command line read, and a failing one made small; no boot."""

import dataclasses

import pytest

from bench.errors import ConfigError
from bench.kernel import replay, selftests, suite
from bench.kernel.shrink import Program

GOOD = suite.Verdict("replay", (), 1, (), 1.0)
BAD = suite.Verdict("replay", ("oracle: random program",), 0, (), 1.0)


def test_a_line_of_a_log_is_understood():
    program = Program(seed=7, generations=3, per_generation=5, flags=4, kinds=0x18, skip_first=0, skip_last=9)
    assert replay.parse(f"oracle {program.arguments}") == program
    assert replay.parse(f"REWIND_FLAGS=4 REWIND_SEED=7 /selftests/oracle {program.arguments}") == program
    (line,) = replay.piece_of(program).commands
    assert replay.parse(line) == program
    assert replay.parse("REWIND_FLAGS=4 REWIND_SEED=9 oracle") == dataclasses.replace(
        replay.DEFAULT, seed=9, flags=4
    )


def test_a_line_of_states_is_understood():
    program = replay.States(seed=7, generations=3, operations=5, flags=4, pattern="each?kind*")
    assert replay.parse(f"states {program.arguments}") == program
    assert replay.parse('states -s 7 -g3 -o5 -f 4 -t "each kind*"') == program
    (line,) = replay.piece_of(program).commands
    assert "/selftests/states" in line
    assert replay.parse(line) == program
    patient = "REWIND_PATIENCE=8 REWIND_FLAGS=4 REWIND_SEED=9 /selftests/states -a"
    assert replay.parse(patient) == replay.States(seed=9, flags=4)


def test_what_a_problem_names_can_be_replayed():
    for piece in (*suite.states_pieces(seed=1), *suite.oracle_pieces(seed=1, operations=50_000)):
        for line in piece.commands:
            assert f"-s {replay.parse(line).seed} " in line
            assert replay.piece_of(replay.parse(line)).limit_s >= piece.limit_s / 20


def test_what_the_programs_do_when_they_are_not_told_is_known():
    oracle, states = ((selftests.SOURCES / f"{name}.c").read_text() for name in ("oracle", "states"))
    assert f"generations = {replay.States.generations}, operations = {replay.States.operations};" in states
    default = replay.DEFAULT
    assert f"generations = {default.generations}, per_generation = {default.per_generation}" in oracle


def test_a_failing_program_of_states_is_left_as_it_is():
    runs = []

    def run(program):
        runs.append(program)
        return dataclasses.replace(BAD, problems=("states: mixtures",))

    program = replay.States(seed=5)
    assert replay.judge(program, run).smallest == program
    assert runs == [program]
    assert replay.judge(program, lambda _: GOOD).smallest is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "memory -s 1",
        "oracle -s many",
        "oracle -z 1",
        "oracle -x 5",
        "oracle -f none",
        "states -s many",
        "states -x 1:2",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(ConfigError, match="--replay"):
        replay.parse(text)


def test_a_failing_program_is_made_small():
    def run(program):
        return BAD if program.generations >= 3 and program.kinds & 0x10 else GOOD

    found = replay.judge(Program(seed=1, generations=20, per_generation=60), run)
    assert found.verdict == BAD
    assert found.smallest.generations == 3
    assert found.smallest.kinds == 0x10


def test_one_that_passes_is_left_alone():
    assert replay.judge(replay.DEFAULT, lambda _: GOOD) == replay.Replay(GOOD, None)


@pytest.mark.parametrize(
    "problem", ["a random program did nothing: oracle -k 0", "no random program did 'seal'"]
)
def test_a_program_that_leaves_operations_out_does_not_fail_by_that(problem):
    assert not replay.fails(dataclasses.replace(BAD, problems=(problem,)))
    assert replay.fails(dataclasses.replace(BAD, problems=(problem, "oracle: random program")))
