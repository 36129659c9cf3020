"""Make a failing random program small: which kinds of operations, and which of them, does it need?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

ALL_KINDS = 27


@dataclass(frozen=True)
class Program:
    """One run of kernel/selftests/oracle.c."""

    name: ClassVar[str] = "oracle"
    seed: int
    generations: int
    per_generation: int
    flags: int = 0
    kinds: int = (1 << ALL_KINDS) - 1
    #: Operations first..last (counted over the whole run) are left out; -1: none.
    skip_first: int = -1
    skip_last: int = -1

    @property
    def arguments(self) -> str:
        """The command line, by which anyone can replay it."""
        words = f"-s {self.seed} -g {self.generations} -o {self.per_generation} -f {self.flags:#x}"
        words += f" -k {self.kinds:#x}"
        return words + (f" -x {self.skip_first}:{self.skip_last}" if self.skip_first >= 0 else "")


def shrink(program: Program, fails: Callable[[Program], bool]) -> Program:
    """The smallest program found that still fails; `fails` runs one (a boot) and says whether it did.

    Fewer generations first, then fewer operations in each, then fewer kinds, then a leading range of
    operations left out. Each step is a bisection or a single pass, so at most some 60 runs are made.
    Operations draw from dice of their own, so leaving some out changes no other.
    """
    program = _least(program, "generations", fails)
    program = _least(program, "per_generation", fails)
    for kind in range(ALL_KINDS):
        without = replace(program, kinds=program.kinds & ~(1 << kind))
        if program.kinds >> kind & 1 and without.kinds and fails(without):
            program = without
    return _skip_leading(program, fails)


def _least(program: Program, field: str, fails: Callable[[Program], bool]) -> Program:
    low, high = 1, int(getattr(program, field))
    while low < high:
        middle = (low + high) // 2
        if fails(_with(program, field, middle)):
            high = middle
        else:
            low = middle + 1
    return _with(program, field, high)


def _with(program: Program, field: str, value: int) -> Program:
    if field == "generations":
        return replace(program, generations=value)
    # The number of an operation is generation * per_generation + index: with one generation
    # fewer operations are a prefix, with more they are other ones, which may still fail.
    return replace(program, per_generation=value)


def _skip_leading(program: Program, fails: Callable[[Program], bool]) -> Program:
    low, high = -1, program.generations * program.per_generation - 1
    while low < high:
        middle = (low + high + 1) // 2
        candidate = replace(program, skip_first=0, skip_last=middle)
        if fails(candidate):
            low = middle
        else:
            high = middle - 1
    return program if low < 0 else replace(program, skip_first=0, skip_last=low)
