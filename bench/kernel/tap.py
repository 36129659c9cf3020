"""Read the results channel of a self-test boot: TAP 13 between init's `# program` lines.

    # program begins: /selftests/memory -s 1
    TAP version 13
    1..2
    # case store, armed page
    ok 1 store, armed page
    #   memory.c:80: page 3 byte 5 is 0x54, not 0x61
    not ok 2 store, hot page
    # program ends: status 1 signal 0 after 1.250 s

Diagnostics belong to the result that follows them. A program that was cut off, bailed out, or
printed fewer results than it announced gets failed results for what is missing, by name where
the name is known: nothing is lost in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

BEGINS = re.compile(r"^# program begins: (?P<command>.+)$")
ENDS = re.compile(
    r"^# program ends: status (?P<status>-?\d+) signal (?P<signal>\d+) after (?P<seconds>[\d.]+) s$"
)
ALL_ENDED = "# all programs ended"
PLAN = re.compile(r"^1\.\.(?P<count>\d+)(?:\s*#\s*SKIP\s*(?P<why>.*))?$")
RESULT = re.compile(r"^(?P<verdict>ok|not ok)\s+(?P<number>\d+)\s*-?\s*(?P<rest>.*)$")
DIRECTIVE = re.compile(r"\s*(?<!\\)#\s*(?P<word>SKIP|TODO)\b\s*(?P<why>.*)$", re.IGNORECASE)
CASE = re.compile(r"^# case (?P<name>.+)$")
#: Stands for the case where a program failed outside of any.
WHOLE = "the program as a whole"
BAIL_OUT = re.compile(r"^Bail out!\s*(?P<why>.*)$")


class Verdict(Enum):
    """What became of one case."""

    PASS = "pass"  # noqa: S105  (a verdict, not a password)
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True)
class Case:
    """One result line with the diagnostics that came before it."""

    name: str
    verdict: Verdict
    diagnostics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """All results of one program; `ended` is False when the boot died under it."""

    command: str
    cases: tuple[Case, ...]
    ended: bool
    seconds: float = 0.0
    #: What it said after its last result.
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The program's file name, without environment and arguments."""
        words = [word for word in self.command.split() if word.startswith("/")]
        return words[0].rsplit("/", 1)[-1] if words else self.command

    @property
    def failures(self) -> tuple[Case, ...]:
        """The cases that failed."""
        return tuple(case for case in self.cases if case.verdict is Verdict.FAIL)


@dataclass(frozen=True)
class Results:
    """A whole boot's results; `complete` is False when init did not come to its end."""

    programs: tuple[Program, ...]
    complete: bool

    def count(self, verdict: Verdict) -> int:
        """Number of cases with that verdict."""
        return sum(case.verdict is verdict for program in self.programs for case in program.cases)


@dataclass
class _Reader:
    command: str
    planned: int | None = None
    current: str | None = None
    bailed: str | None = None
    skipped_all: bool = False
    cases: list[Case] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def line(self, text: str) -> None:
        if match := CASE.match(text):
            self.current = match["name"]
        elif match := PLAN.match(text):
            self.planned = int(match["count"])
            if self.planned == 0:
                self.skipped_all = True
                self.cases.append(Case(match["why"] or "all", Verdict.SKIP))
        elif match := RESULT.match(text):
            self._result(match["verdict"], match["rest"])
        elif match := BAIL_OUT.match(text):
            self.bailed = match["why"]
        elif text.strip() and not text.startswith("TAP version"):
            self.notes.append(text.removeprefix("#").strip())

    def _result(self, verdict: str, rest: str) -> None:
        directive = DIRECTIVE.search(rest)
        name = (rest[: directive.start()] if directive else rest).strip()
        outcome = Verdict.PASS if verdict == "ok" else Verdict.FAIL
        if directive and (directive["word"].upper() == "SKIP" or outcome is Verdict.FAIL):
            outcome = Verdict.SKIP
        self.cases.append(Case(name, outcome, tuple(self.notes)))
        self.notes, self.current = [], None

    def finish(self, *, status: int | None, signal: int, seconds: float) -> Program:
        why = self._shortfall(status, signal)
        if why:
            name = self.current or WHOLE
            self.cases.append(Case(name, Verdict.FAIL, (*self.notes, why)))
            self.notes = []
        return Program(self.command, tuple(self.cases), status is not None, seconds, tuple(self.notes))

    def _shortfall(self, status: int | None, signal: int) -> str:
        if self.bailed is not None:
            return f"bailed out: {self.bailed}"
        if status is None:
            return "the boot ended while this ran"
        if signal:
            return f"killed by signal {signal}"
        if self.planned is None:
            return f"no plan line; exit status {status}"
        if not self.skipped_all and len(self.cases) != self.planned:
            return f"{len(self.cases)} results, but {self.planned} were announced"
        failed = any(case.verdict is Verdict.FAIL for case in self.cases)
        return f"exit status {status} without a failed case" if status and not failed else ""


def parse(lines: Iterable[str]) -> Results:
    """Results of all programs of a boot, in order; lines before the first program are ignored."""
    programs: list[Program] = []
    reader: _Reader | None = None
    complete = False
    for raw in lines:
        text = raw.rstrip("\r\n")
        if match := BEGINS.match(text):
            if reader:
                programs.append(reader.finish(status=None, signal=0, seconds=0.0))
            reader = _Reader(match["command"])
        elif reader and (match := ENDS.match(text)):
            programs.append(
                reader.finish(
                    status=int(match["status"]), signal=int(match["signal"]), seconds=float(match["seconds"])
                )
            )
            reader = None
        elif text == ALL_ENDED:
            complete = True
        elif reader:
            reader.line(text)
    if reader:
        programs.append(reader.finish(status=None, signal=0, seconds=0.0))
    return Results(tuple(programs), complete)
