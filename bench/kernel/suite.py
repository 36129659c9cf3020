"""Which test commands make a run: a short slice for each change, and the whole in resumable pieces.

A piece is one boot: a name, its commands, and a machine. The full run skips pieces that have a verdict
in its folder already, so it can be stopped and gone on with.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path

from bench.build.digest import digest_of
from bench.build.step import Step
from bench.kernel import races, selftests, tap
from bench.kernel.boot import Options
from bench.paths import KERNEL, cache_dir
from bench.progress import Progress

#: Ablations of the calls; every one must give the same results.
ABLATIONS = {
    "default": 0,
    "no-reuse": 1 << 2,
    "no-region-reuse": 1 << 3,
    "full-walk": 1 << 4,
    "plain": 7 << 2,
}
#: Lacks the fix for L1TF, so migration entries carry no dirty bit.
L1TF_CPU = "Skylake-Client"
#: With its remedies on it is slow to emulate: what waits until enough has happened may wait longer.
L1TF_PATIENCE = "REWIND_PATIENCE=4"
#: With mitigations off, as in other boots, a kernel takes no account of what its processor lacks. One that
#: cannot be complete in emulation would only complain of that.
MITIGATED = "mitigations=auto retbleed=off"
VERDICT_NAME = "verdict.json"
ORACLE_SEEDS_PER_PIECE = 20
ORACLE_GENERATIONS = 50
OPERATIONS_PER_SEED = 2000
#: A generation of states takes half a second, each kind alone half a minute: a third of a piece's limit.
STATES_SEEDS_PER_PIECE = 5


@dataclass(frozen=True)
class Piece:
    """One boot of a run."""

    name: str
    commands: tuple[str, ...]
    options: Options
    limit_s: float
    #: In skips.EXPECTED: what may be skipped.
    situations: tuple[str, ...] = ("release",)
    #: Data races that the series takes no part in are not held against it.
    own_races_only: bool = False
    #: What the kernel's log says when its checks of itself are at work.
    announced: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """A digest of everything above and of how programs are compiled: a changed piece is run again."""
        return digest_of([repr(astuple(self)), repr(selftests.CFLAGS)])


@dataclass(frozen=True)
class Verdict:
    """What one piece came to; `problems` is empty when all is well."""

    piece: str
    problems: tuple[str, ...]
    passed: int
    skipped: tuple[str, ...]
    wall_s: float
    #: Random operations, by kind.
    operations: dict[str, int] = field(default_factory=dict)
    #: What rewinds did in the random programs, by branch.
    branches: dict[str, int] = field(default_factory=dict)


def command(program: str, arguments: str = "", *, flags: int = 0, seed: int = 1) -> str:
    """A line for init: the program with its ablation flags and seed."""
    environment = f"REWIND_FLAGS={flags} REWIND_SEED={seed}"
    return f"{environment} /selftests/{program} {arguments}".strip()


def command_of(text: str, *, flags: int = 0, seed: int = 1) -> str:
    """The same of "program arguments", as people write it.

    Init splits at blanks and knows no quotes: a blank in a quoted pattern becomes '?'.
    """
    program, _, arguments = text.strip().partition(" ")
    return command(program, quoteless(arguments), flags=flags, seed=seed)


def quoteless(arguments: str) -> str:
    """Arguments without quotes, for init."""
    return re.sub(r"""(["'])(.*?)\1""", lambda match: match[2].replace(" ", "?"), arguments)


def machine(*, cpu_model: str = "", memory_mb: int = 1024, cmdline: str = "") -> Options:
    """The usual machine of a test boot: two processors and nodes, a swap disk, one for direct I/O.

    `cmdline` has further words for the kernel. A processor model is asked for because of a fault of it, so
    the kernel's remedies are on then.
    """
    return Options(
        memory_mb=memory_mb,
        cpu_model=cpu_model,
        disks_mb=selftests.DISKS_MB,
        cmdline=f"{MITIGATED if cpu_model else ''} {cmdline}".strip(),
        two_nodes=True,
    )


def case_programs() -> tuple[str, ...]:
    """All programs that are a list of cases."""
    return tuple(name for name in selftests.programs() if name != "oracle")


def short_pieces(
    *, seed: int = 1, limit_s: float = 900.0, situations: tuple[str, ...] = ("release",)
) -> tuple[Piece, ...]:
    """The slice for each change: every program once, and random programs enough to meet every kind."""
    commands = [command(name, seed=seed) for name in case_programs()]
    # Only without reuse is it sure that pages are armed again.
    flags = (0, ABLATIONS["no-reuse"], ABLATIONS["full-walk"])
    commands += [command("oracle", f"-s {seed + i} -g 20 -o 60", flags=f) for i, f in enumerate(flags)]
    return (Piece("short", tuple(commands), machine(), limit_s, situations),)


def full_pieces(*, seed: int = 1, oracle_operations: int = 1_020_000) -> tuple[Piece, ...]:
    """Everything: slow cases, each ablation, the CPU with L1TF, and many random programs of both kinds.

    Of the random operations asked for, one in a hundred finds nothing to do and does not count.
    """
    pieces = []
    for label, flags in ABLATIONS.items():
        for name in case_programs():
            line = command(name, "-a", flags=flags, seed=seed)
            pieces.append(Piece(f"{name}-{label}", (line,), machine(), 5400.0))
    random = (*oracle_pieces(seed=seed, operations=oracle_operations), *states_pieces(seed=seed))
    return (*pieces, *l1tf_pieces(seed=seed), *random)


def l1tf_pieces(*, seed: int) -> tuple[Piece, ...]:
    """What moves and swaps pages, on the CPU with L1TF: cases, and random programs under each ablation."""
    (oracle,) = oracle_pieces(seed=seed, operations=len(ABLATIONS) * OPERATIONS_PER_SEED)
    names = ("memory", "layout", "lifecycle", "commotion")
    runs = [*((name, (command(name, seed=seed),)) for name in names), ("oracle", oracle.commands)]
    return tuple(
        Piece(
            f"{name}-l1tf",
            tuple(f"{L1TF_PATIENCE} {line}" for line in lines),
            machine(cpu_model=L1TF_CPU),
            3600.0,
        )
        for name, lines in runs
    )


def oracle_pieces(*, seed: int, operations: int) -> tuple[Piece, ...]:
    """Enough seeds for that many random operations, some per boot, ablations in turn."""
    seeds = range(seed, seed + max(1, -(-operations // OPERATIONS_PER_SEED)))
    flags = list(ABLATIONS.values())
    pieces = []
    for start in range(seeds.start, seeds.stop, ORACLE_SEEDS_PER_PIECE):
        some = range(start, min(start + ORACLE_SEEDS_PER_PIECE, seeds.stop))
        arguments = f"-g {ORACLE_GENERATIONS} -o {OPERATIONS_PER_SEED // ORACLE_GENERATIONS}"
        lines = [command("oracle", f"-s {s} {arguments}", flags=flags[s % len(flags)], seed=s) for s in some]
        pieces.append(Piece(f"oracle-{some.start}-{some.stop - 1}", tuple(lines), machine(), 5400.0))
    return tuple(pieces)


def states_pieces(*, seed: int, seeds: int = 20, generations: int = 500) -> tuple[Piece, ...]:
    """That many random programs over the state of a process, some per boot, ablations in turn."""
    flags = list(ABLATIONS.values())
    pieces = []
    for start in range(seed, seed + seeds, STATES_SEEDS_PER_PIECE):
        some = range(start, min(start + STATES_SEEDS_PER_PIECE, seed + seeds))
        # Long mixtures are mostly refused, short ones mostly restored: in turn, too.
        lines = [
            command(
                "states", f"-s {s} -g {generations} -o {4 + s % 3 * 4}", flags=flags[s % len(flags)], seed=s
            )
            for s in some
        ]
        pieces.append(Piece(f"states-{some.start}-{some.stop - 1}", tuple(lines), machine(), 5400.0))
    return tuple(pieces)


def logs_folder() -> Path:
    """Where all logs and verdicts of self-tests are."""
    return cache_dir() / "kernel-tests"


def folder_of(kernel: Step, seed: int) -> Path:
    """Where the logs of a kernel are: the same kernel and the same programs share them."""
    sources = {"sources": selftests.SOURCES, "bench": KERNEL / "bench"}
    tests = Step("tests", lambda _: None, sources).digest[:8]
    return logs_folder() / f"{kernel.digest[:12]}-{tests}-{seed}"


def run_pieces(
    kernel: Path,
    pieces: Iterable[Piece],
    folder: Path,
    progress: Progress | None = None,
    *,
    judge: Callable[[Verdict], Verdict] | None = None,
) -> list[Verdict]:
    """Run pieces one after the other; those that have a good verdict in `folder` are not run again.

    The folder belongs to one kernel: name it after the kernel's digest. `judge` has the last word.
    """
    verdicts = []
    for piece in pieces:
        where = folder / piece.name
        known = once(where, piece.key, functools.partial(_judged, judge, kernel, piece, where))
        verdicts.append(known)
        if progress is not None:
            state = f"{len(known.problems)} problems" if known.problems else "good"
            progress.say(f"{piece.name}: {state}, {known.wall_s:.0f} s")
    return verdicts


def _judged(judge: Callable[[Verdict], Verdict] | None, kernel: Path, piece: Piece, folder: Path) -> Verdict:
    verdict = run_piece(kernel, piece, folder)
    return judge(verdict) if judge else verdict


def run_piece(kernel: Path, piece: Piece, folder: Path) -> Verdict:
    """Run one piece; its logs are left in `folder`."""
    report = selftests.run(
        kernel,
        piece.commands,
        folder,
        options=piece.options,
        limit_s=piece.limit_s,
        ignore=races.of_others if piece.own_races_only else None,
        situations=piece.situations,
        announced=piece.announced,
    )
    return verdict_of(piece.name, report)


def once(folder: Path, key: str, judge: Callable[[], Verdict]) -> Verdict:
    """The good verdict that an earlier run left in `folder` under `key`, or that of `judge`, left there.

    One with problems is not used again: a busy host may have been the reason.
    """
    known = read_verdict(folder, key)
    if known is None or known.problems:
        known = judge()
        write_verdict(known, folder, key)
    return known


def write_verdict(verdict: Verdict, folder: Path, key: str = "") -> None:
    """Leave a verdict for a later run; it appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{VERDICT_NAME}"
    temporary.write_text(json.dumps({**asdict(verdict), "key": key}, indent=1) + "\n")
    temporary.rename(folder / VERDICT_NAME)


def verdict_of(name: str, report: selftests.Report) -> Verdict:
    """Condense a report."""
    passed = report.results.count(tap.Verdict.PASS)
    return Verdict(
        name,
        report.problems,
        passed,
        report.skipped,
        report.boot.wall_s,
        dict(report.operations),
        dict(report.branches),
    )


def read_verdict(folder: Path, key: str) -> Verdict | None:
    """The verdict that an earlier run left under `key`, if it came that far."""
    try:
        raw = json.loads((folder / VERDICT_NAME).read_text())
        if raw["key"] != key:
            return None
        return Verdict(
            raw["piece"],
            tuple(raw["problems"]),
            raw["passed"],
            tuple(raw["skipped"]),
            raw["wall_s"],
            raw["operations"],
            raw["branches"],
        )
    except (OSError, ValueError, KeyError):
        return None


def failed(verdicts: Sequence[Verdict]) -> list[str]:
    """All problems, each with its piece."""
    return [f"{verdict.piece}: {problem}" for verdict in verdicts for problem in verdict.problems]
