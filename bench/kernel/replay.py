"""`rewind-bench kernel-test --replay "oracle -s 7 -g 20 -o 60"`: one random program again, and made small."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bench.errors import ConfigError
from bench.kernel import selftests, shrink, suite
from bench.kernel.shrink import Program
from bench.kernel.suite import Piece, Verdict
from bench.progress import Progress

LIMIT_S = 900.0
#: What kernel/selftests/oracle.c does when it is not told.
DEFAULT = Program(seed=1, generations=40, per_generation=40)
HINT = "give the command of an oracle as the log has it: oracle -s SEED -g GENERATIONS -o OPERATIONS"


@dataclass(frozen=True)
class Replay:
    """What the command came to, and the smallest one that still fails; None when it passed."""

    verdict: Verdict
    smallest: Program | None


def parse(text: str) -> Program:
    """The program that a command line of oracle stands for; ConfigError when it is none.

    Words of the environment and the path may be there, as in a line of a log.
    """
    words = text.split()
    environment = dict(word.split("=", 1) for word in words if "=" in word)
    rest = [word for word in words if "=" not in word]
    if not rest or rest[0].rsplit("/", 1)[-1] != "oracle":
        raise ConfigError([f"--replay: {text!r} is no random program"], hint=HINT)
    parser = _Parser()
    parser.add_argument("-s", type=int, default=int(environment.get("REWIND_SEED", DEFAULT.seed)))
    parser.add_argument("-g", type=int, default=DEFAULT.generations)
    parser.add_argument("-o", type=int, default=DEFAULT.per_generation)
    parser.add_argument("-f", type=_number, default=_number(environment.get("REWIND_FLAGS", "0")))
    parser.add_argument("-k", type=_number, default=DEFAULT.kinds)
    parser.add_argument("-x", type=_range, default=(-1, -1))
    known = parser.parse_args(rest[1:])
    return Program(known.s, known.g, known.o, known.f, known.k & DEFAULT.kinds, *known.x)


def replay(kernel: Path, program: Program, folder: Path, progress: Progress) -> Replay:
    """Boot `kernel` (a bzImage) with a program; when it fails, shrink it. `folder` has the last logs."""

    def run(candidate: Program) -> Verdict:
        verdict = suite.run_piece(kernel, piece_of(candidate), folder)
        state = "fails" if fails(verdict) else "passes"
        progress.say(f"oracle {candidate.arguments}: {state}, {verdict.wall_s:.0f} s")
        return verdict

    return judge(program, run)


def judge(program: Program, run: Callable[[Program], Verdict]) -> Replay:
    """Run a program, and smaller ones while they fail."""
    first = run(program)
    if not fails(first):
        return Replay(first, None)
    return Replay(first, shrink.shrink(program, lambda candidate: fails(run(candidate))))


def fails(verdict: Verdict) -> bool:
    """True for a failure of the kernel: that operations were left out is none."""
    left_out = (selftests.NOTHING_DONE, selftests.KIND_MISSED, selftests.BRANCH_MISSED)
    return any(not problem.startswith(left_out) for problem in verdict.problems)


def piece_of(program: Program) -> Piece:
    """The boot that runs it."""
    line = suite.command("oracle", program.arguments, flags=program.flags, seed=program.seed)
    return Piece("replay", (line,), suite.machine(), LIMIT_S)


def _number(text: str) -> int:
    return int(text, 0)


def _range(text: str) -> tuple[int, int]:
    first, last = text.split(":")
    return int(first), int(last)


class _Parser(argparse.ArgumentParser):
    def __init__(self) -> None:
        super().__init__(prog="oracle", add_help=False)

    def error(self, message: str) -> NoReturn:
        raise ConfigError([f"--replay: {message}"], hint=HINT)
