"""Mutants: kernels with one remedy taken out, each of which has to turn its test red.

A mutant is a patch on top of the series, in kernel/selftests/mutants/, with header lines

    Subject: what is broken
    Test: memory -t "store, hot and clean"
    CPU: Skylake-Client          (only where the fault shows on that model alone)
"""

from __future__ import annotations

import functools
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from bench.build.kernel import Kernel, kernel_step
from bench.build.step import ensure
from bench.errors import ConfigError, InfrastructureError
from bench.kernel import selftests, suite, tap
from bench.kernel.suite import Piece, Verdict
from bench.paths import KERNEL
from bench.progress import Progress

FOLDER = selftests.SOURCES / "mutants"
LIMIT_S = 900.0
#: How tap.py tells of a program that did not come to its cases.
IDLE = re.compile(rf"{tap.WHOLE}: (?:bailed out|no plan line)")


@dataclass(frozen=True)
class Mutant:
    """One patch and the test that has to fail on it."""

    patch: Path
    subject: str
    test: str
    cpu_model: str

    @property
    def name(self) -> str:
        """File name without suffix."""
        return self.patch.stem

    @property
    def program(self) -> str:
        """The program that has to fail."""
        return self.test.split()[0]

    def shows_in(self, problem: str) -> bool:
        """True for a failed case of its program (a machine that ended under it is one) or a report during it.

        A program that could not do its work at all has found nothing.
        """
        if problem.startswith("kernel "):
            return f"(during {self.program}: " in problem
        return problem.startswith(f"{self.program}: ") and not IDLE.search(problem)

    @property
    def piece(self) -> Piece:
        """The boot that has to find the fault."""
        line = suite.command_of(self.test)
        return Piece(f"mutant-{self.name}", (line,), suite.machine(cpu_model=self.cpu_model), LIMIT_S)


def all_mutants(folder: Path = FOLDER) -> tuple[Mutant, ...]:
    """Every mutant, in order; ConfigError names each patch without its header."""
    found, problems = [], []
    for patch in sorted(folder.glob("*.patch")):
        header = patch.read_text().partition("\n---\n")[0]
        fields = dict(re.findall(r"^([A-Za-z]+): (.*)$", header, re.MULTILINE))
        if "Test" not in fields or fields["Test"].split()[0] not in selftests.programs():
            problems.append(f"{patch}: needs a line 'Test: PROGRAM ...'")
            continue
        found.append(Mutant(patch, fields.get("Subject", ""), fields["Test"], fields.get("CPU", "")))
    if problems:
        raise ConfigError(problems, hint="see bench/kernel/mutants.py")
    return tuple(found)


def run(mutant: Mutant, folder: Path, progress: Progress | None = None) -> Verdict:
    """Build a mutant and run its test; the verdict is good when the test went red.

    A mutant that cannot be built has a bad one, so that the others are run.
    """
    progress = progress or Progress()
    series = folder / "patches"
    shutil.rmtree(series, ignore_errors=True)
    shutil.copytree(KERNEL / "patches", series)
    shutil.copy(mutant.patch, series / f"9999-{mutant.patch.name}")
    try:
        with progress.stage(f"build mutant {mutant.name}"):
            image = Kernel(ensure(kernel_step("release", patches=series))).image
    except InfrastructureError as error:
        return Verdict(mutant.piece.name, (f"cannot be built: {error.message}",), 0, (), 0.0)
    judge = functools.partial(inverted, mutant)
    (found,) = suite.run_pieces(image, [mutant.piece], folder, progress, judge=judge)
    return found


def inverted(mutant: Mutant, found: Verdict) -> Verdict:
    """A mutant that its own test does not notice is the problem; what else went wrong is no excuse."""
    if any(mutant.shows_in(problem) for problem in found.problems):
        return Verdict(found.piece, (), 1, (), found.wall_s)
    stays = f"'{mutant.test}' stays green although: {mutant.subject}"
    return Verdict(found.piece, (stays, *found.problems), 0, (), found.wall_s)
