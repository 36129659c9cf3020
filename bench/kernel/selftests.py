"""Compile the self-tests, pack them into an initramfs, boot it, and read the results."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import process
from bench.build.initramfs import Initramfs
from bench.kernel import skips, splat, tap
from bench.kernel.boot import Boot, Ending, Options, boot
from bench.paths import KERNEL

SOURCES = KERNEL / "selftests"
#: Linked into every program; not programs themselves.
SHARED = ("subject.c", "supervisor.c", "portrait.c", "helpers.c")
INIT = "init.c"
CFLAGS = ("-static", "-O2", "-g0", "-Wall", "-pthread", "-mno-red-zone", "-Wno-return-type")
COMPILE_S = 120.0
#: A swap area, and a disk for direct I/O.
DISKS_MB = (256, 64)
OPERATIONS = re.compile(r"^operations (?P<name>\w+) (?P<count>\d+)$")
#: Beside the kinds, their sum.
TOTAL = "total"
#: What the kernel's rewinds did, by the counters in /proc/PID/rewind.
BRANCHES = re.compile(r"^branch (?P<name>\w+) (?P<count>\d+)$")
#: Programs that draw from a seed (run_seed): the name of a case does not say what it did.
SEEDED = ("commotion", "killed", "layout", "oracle", "states", "threads")
NOT_AT_WORK = "the kernel checks itself less than it should, its log lacks"
NOTHING_DONE = "a random program did nothing"
KIND_MISSED = "no random program did"
BRANCH_MISSED = "no random program made a rewind do"
#: So many random operations must have met every kind, and every branch of a rewind.
ENOUGH_OPERATIONS = 3000


@dataclass(frozen=True)
class Report:
    """One boot's verdict: results, kernel splats, and how the boot ended."""

    results: tap.Results
    splats: tuple[splat.Splat, ...]
    boot: Boot
    #: What init was given to run.
    commands: tuple[str, ...]
    #: Names in skips.EXPECTED.
    situations: tuple[str, ...] = ()
    #: What the kernel's log must say for the boot to have proved anything.
    announced: tuple[str, ...] = ()

    @property
    def operations(self) -> Counter[str]:
        """How often the random programs did each kind of operation."""
        return self._total(OPERATIONS)

    @property
    def branches(self) -> Counter[str]:
        """How often each branch of a rewind was taken in the random programs."""
        return self._total(BRANCHES)

    def _total(self, pattern: re.Pattern[str]) -> Counter[str]:
        counts: Counter[str] = Counter()
        for program in self.results.programs:
            counts.update(_counts(pattern, program))
        return counts

    @property
    def skipped(self) -> tuple[str, ...]:
        """Every case that was skipped, as "program: case"."""
        return tuple(
            f"{program.name}: {case.name}"
            for program in self.results.programs
            for case in program.cases
            if case.verdict is tap.Verdict.SKIP
        )

    @property
    def problems(self) -> tuple[str, ...]:
        """Every failure as one named line: cases, splats, death or hang of the machine.

        Lines about one program begin with its name and a colon, no others do. Where the name does not tell
        which run it was, the command is at the end.
        """
        log = self.boot.folder / "console.log"
        lines = [
            f"{program.name}: {_named(case)}{self._which(program)}"
            for program in self.results.programs
            for case in program.failures
        ]
        lines += [f"kernel {found} (log: {log})" for found in self.splats]
        lines += self._random_problems()
        lines += [
            f"skipped without a reason: {case}" for case in skips.unexpected(self.skipped, self.situations)
        ]
        lines += [f"{NOT_AT_WORK} '{said}'" for said in self.announced if said not in self.boot.console]
        if self.boot.ending is not Ending.POWERED_OFF:
            lines.append(f"machine {self.boot.ending.value} (log: {log})")
        elif not self.results.complete:
            lines.append(f"init did not reach its end (log: {log})")
        unseen = Counter(self.commands) - Counter(program.command for program in self.results.programs)
        return (*lines, *(f"never began: {command}" for command in unseen.elements()))

    def _which(self, program: tap.Program) -> str:
        runs = sum(other.name == program.name for other in self.results.programs)
        return f" ({program.command})" if program.name in SEEDED or runs > 1 else ""

    def _random_problems(self) -> Iterator[str]:
        for program in self.results.programs:
            if program.name == "oracle" and not program.failures and not _counts(OPERATIONS, program)[TOTAL]:
                yield f"{NOTHING_DONE}: {program.command}"
        counts = self.operations
        if counts[TOTAL] >= ENOUGH_OPERATIONS:
            yield from (f"{KIND_MISSED} '{kind}'" for kind, count in counts.items() if not count)
            yield from (f"{BRANCH_MISSED} '{name}'" for name, n in self.branches.items() if not n)


def _named(case: tap.Case) -> str:
    """A failed case's name; that of a program as a whole says nothing without its reason."""
    return f"{case.name}: {case.diagnostics[-1]}" if case.name == tap.WHOLE else case.name


def _counts(pattern: re.Pattern[str], program: tap.Program) -> Counter[str]:
    counts: Counter[str] = Counter()
    for match in filter(None, map(pattern.match, program.remarks)):
        counts[match["name"]] += int(match["count"])
    return counts


def programs() -> tuple[str, ...]:
    """Names of all test programs: every source with a main(), apart from init."""
    return tuple(
        path.stem
        for path in sorted(SOURCES.glob("*.c"))
        if path.name not in (*SHARED, INIT) and "int main(" in path.read_text()
    )


def compile_programs(names: Sequence[str], target: Path) -> None:
    """Compile test programs and init as static binaries into `target`; CommandError with gcc's words."""
    target.mkdir(parents=True, exist_ok=True)
    shared = [str(SOURCES / name) for name in SHARED]
    for name in names:
        argv = ["gcc", *CFLAGS, "-o", str(target / name), str(SOURCES / f"{name}.c"), *shared]
        process.run(argv, timeout_s=COMPILE_S)
    process.run(["gcc", *CFLAGS, "-o", str(target / "init"), str(SOURCES / INIT)], timeout_s=COMPILE_S)


def with_init(binaries: Path, commands: Sequence[str]) -> Initramfs:
    """An archive with the init that `compile_programs` left in `binaries`, and what it is to run."""
    archive = Initramfs()
    archive.file("/init", (binaries / "init").read_bytes(), 0o755)
    archive.file("/selftests.list", "".join(f"{command}\n" for command in commands).encode())
    return archive


def pack(binaries: Path, commands: Sequence[str], initramfs: Path) -> None:
    """Make the initramfs: init, the programs that `commands` name, and the list of commands."""
    archive = with_init(binaries, commands)
    for path in sorted(binaries.iterdir()):
        if path.name != "init":
            archive.file(f"/selftests/{path.name}", path.read_bytes(), 0o755)
    archive.write(initramfs)


def run(
    kernel: Path,
    commands: Sequence[str],
    folder: Path,
    *,
    options: Options | None = None,
    limit_s: float = 300.0,
    ignore: Callable[[splat.Splat], bool] | None = None,
    situations: Sequence[str] = (),
    announced: Sequence[str] = (),
) -> Report:
    """Boot `kernel` (a bzImage) and run `commands`, such as "/selftests/memory -s 7"; logs in `folder`."""
    names = [name for name in programs() if any(f"/selftests/{name}" in c.split() for c in commands)]
    binaries = folder / "binaries"
    compile_programs(names, binaries)
    initramfs = folder / "initramfs.cpio"
    pack(binaries, commands, initramfs)
    done = boot(kernel, initramfs, folder, options or Options(disks_mb=DISKS_MB), limit_s=limit_s)
    initramfs.unlink()
    shutil.rmtree(binaries)
    return Report(
        results=tap.parse(done.results.splitlines()),
        splats=splat.find_splats(done.console, ignore=ignore),
        boot=done,
        commands=tuple(commands),
        situations=tuple(situations),
        announced=tuple(announced),
    )
