"""Shrinking, with a stand-in for the boot: a program that fails for a known reason."""

from bench.kernel.shrink import Program, shrink


def test_only_what_the_failure_needs_is_left():
    """Fails when generation 5 is reached and kinds 3 and 7 take part and operation 40 is not left out."""
    runs = []

    def fails(program):
        runs.append(program)
        operations = program.generations * program.per_generation
        needed = program.kinds >> 3 & 1 and program.kinds >> 7 & 1
        skipped = program.skip_first >= 0 and program.skip_last >= 40
        return bool(program.generations >= 5 and operations > 40 and needed and not skipped)

    small = shrink(Program(seed=9, generations=50, per_generation=40), fails)
    assert small.generations == 5
    assert small.per_generation == 9
    assert small.kinds == 1 << 3 | 1 << 7
    assert small.skip_last == 39
    assert fails(small)
    assert len(runs) < 60


def test_the_command_replays_it():
    program = Program(seed=3, generations=2, per_generation=4, flags=4, kinds=0x18, skip_first=0, skip_last=5)
    assert program.arguments == "-s 3 -g 2 -o 4 -f 0x4 -k 0x18 -x 0:5"


def test_a_failure_that_needs_everything_stays_whole():
    whole = Program(seed=1, generations=1, per_generation=1)
    assert shrink(whole, lambda program: program == whole) == whole
