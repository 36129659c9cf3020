"""`rewind-bench kernel-test --replay "oracle -s 7 -g 20 -o 60"`: one random program again.

One of oracle that fails is made small; one of states is run as it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NoReturn, TypeAlias

from bench.errors import ConfigError
from bench.kernel import selftests, shrink, suite
from bench.kernel.shrink import Program
from bench.kernel.suite import Piece, Verdict
from bench.progress import Progress


@dataclass(frozen=True)
class States:
    """One run of kernel/selftests/states.c."""

    name: ClassVar[str] = "states"
    seed: int = 1
    generations: int = 24
    operations: int = 4
    flags: int = 0
    #: Of the cases: each kind alone, or mixtures.
    pattern: str = "*"

    @property
    def arguments(self) -> str:
        """The command line, by which anyone can replay it."""
        words = f"-s {self.seed} -g {self.generations} -o {self.operations} -f {self.flags:#x}"
        return words + (f" -t {self.pattern}" if self.pattern != "*" else "")


Random: TypeAlias = "Program | States"
#: Of a boot. The longest run of states that a piece has takes some minutes.
LIMIT_S = {Program.name: 900.0, States.name: 3600.0}
#: What kernel/selftests/oracle.c does when it is not told.
DEFAULT = Program(seed=1, generations=40, per_generation=40)
HINT = (
    "give the command of a random program as the log has it: oracle -s SEED -g GENERATIONS -o OPERATIONS, or "
    "states with the same; another program is run by --only"
)


@dataclass(frozen=True)
class Replay:
    """What the command came to, and the smallest one that still fails; None when it passed."""

    verdict: Verdict
    smallest: Random | None


def parse(text: str) -> Random:
    """The program that a command line of oracle or states stands for; ConfigError when it is none.

    Words of the environment and the path may be there, as in a line of a log.
    """
    words = suite.quoteless(text).split()
    environment = dict(word.split("=", 1) for word in words if "=" in word)
    rest = [word for word in words if "=" not in word]
    name = rest[0].rsplit("/", 1)[-1] if rest else ""
    if name not in LIMIT_S:
        raise ConfigError([f"--replay: {text!r} is no random program"], hint=HINT)
    parser = _Parser(name)
    parser.add_argument("-s", type=int, default=int(environment.get("REWIND_SEED", DEFAULT.seed)))
    parser.add_argument("-f", type=_number, default=_number(environment.get("REWIND_FLAGS", "0")))
    return (_oracle if name == Program.name else _states)(parser, rest[1:])


def _oracle(parser: _Parser, words: list[str]) -> Program:
    parser.add_argument("-g", type=int, default=DEFAULT.generations)
    parser.add_argument("-o", type=int, default=DEFAULT.per_generation)
    parser.add_argument("-k", type=_number, default=DEFAULT.kinds)
    parser.add_argument("-x", type=_range, default=(-1, -1))
    known = parser.parse_args(words)
    return Program(known.s, known.g, known.o, known.f, known.k & DEFAULT.kinds, *known.x)


def _states(parser: _Parser, words: list[str]) -> States:
    parser.add_argument("-g", type=int, default=States.generations)
    parser.add_argument("-o", type=int, default=States.operations)
    parser.add_argument("-t", default=States.pattern)
    parser.add_argument("-a", action="store_true")  # of the slow cases, of which it has none
    known = parser.parse_args(words)
    return States(known.s, known.g, known.o, known.f, known.t)


def replay(kernel: Path, program: Random, folder: Path, progress: Progress) -> Replay:
    """Boot `kernel` (a bzImage) with a program; when it fails, shrink it. `folder` has the last logs."""

    def run(candidate: Random) -> Verdict:
        verdict = suite.run_piece(kernel, piece_of(candidate), folder)
        state = "fails" if fails(verdict) else "passes"
        progress.say(f"{candidate.name} {candidate.arguments}: {state}, {verdict.wall_s:.0f} s")
        return verdict

    return judge(program, run)


def judge(program: Random, run: Callable[[Random], Verdict]) -> Replay:
    """Run a program, and smaller ones while they fail."""
    first = run(program)
    if not fails(first):
        return Replay(first, None)
    if isinstance(program, States):
        return Replay(first, program)
    return Replay(first, shrink.shrink(program, lambda candidate: fails(run(candidate))))


def fails(verdict: Verdict) -> bool:
    """True for a failure of the kernel: that operations were left out is none."""
    left_out = (selftests.NOTHING_DONE, selftests.KIND_MISSED, selftests.BRANCH_MISSED)
    return any(not problem.startswith(left_out) for problem in verdict.problems)


def piece_of(program: Random) -> Piece:
    """The boot that runs it."""
    line = suite.command(program.name, program.arguments, flags=program.flags, seed=program.seed)
    return Piece("replay", (line,), suite.machine(), LIMIT_S[program.name])


def _number(text: str) -> int:
    return int(text, 0)


def _range(text: str) -> tuple[int, int]:
    first, last = text.split(":")
    return int(first), int(last)


class _Parser(argparse.ArgumentParser):
    def __init__(self, name: str) -> None:
        super().__init__(prog=name, add_help=False)

    def error(self, message: str) -> NoReturn:
        raise ConfigError([f"--replay: {message}"], hint=HINT)
