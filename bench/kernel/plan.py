"""`nox -s kernel`: which variants of the kernel are built, and which pieces each of them runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.build.kernel import Kernel, Variant, kernel_step, series_of
from bench.build.step import Step, ensure
from bench.errors import ConfigError, KernelError
from bench.kernel import full as full_run
from bench.kernel import replay as replaying
from bench.kernel import selftests, suite, tap
from bench.kernel.boot import Options
from bench.kernel.suite import Piece, Verdict
from bench.paths import KERNEL
from bench.progress import Progress

NO_SWAP = "# CONFIG_SWAP is not set\n"
#: Without EARLY_ENABLE nothing is watched. What is told of is a race even where no value changed.
KCSAN = """\
CONFIG_KCSAN=y
CONFIG_KCSAN_EARLY_ENABLE=y
CONFIG_KCSAN_INTERRUPT_WATCHER=y
CONFIG_KCSAN_DELAY_RANDOMIZE=y
CONFIG_KCSAN_SKIP_WATCH_RANDOMIZE=y
"""
#: One access of 200 is watched, not of 4000, and for longer: the programs do little in a short time.
KCSAN_WATCH = "kcsan.skip_watch=200 kcsan.udelay_task=300"
KCSAN_ANNOUNCED = ("kcsan: enabled early",)
DEBUG_ANNOUNCED = (
    "kasan: KernelAddressSanitizer initialized",
    "Lock dependency validator",
    "kmemleak: Kernel memory leak detector initialized",
)
#: What runs beside something else: threads, descendants, sudden ends.
RACY_PROGRAMS = ("smoke", "threads", "descendants", "lifecycle", "killed", "regions", "signals", "commotion")
#: But for KSM, which does not come to merge anything on a kernel so slow, alone or among the others.
RACY_ARGUMENTS = {"commotion": "-t [!Ka]*"}
#: A debug kernel is many times slower: the programs that find most of its faults.
DEBUG_PROGRAMS = ("smoke", "abi", "regions", "descendants", "lifecycle", "threads", "trace")
DEBUG_LIMIT_S = 2400.0
#: ... and so is each case, whose time limit is one for a release kernel.
DEBUG_PATIENCE = "REWIND_PATIENCE=8"
#: Flag of both calls, in debug kernels: a page that differs from its hash is a line in the log (splat.py).
VERIFY = 1 << 5
VERIFY_ALONE = ("memory", "regions", "lifecycle")
#: Whose slow cases a full run has there too: thousands of sudden ends, and of threads and layouts.
DEBUG_SLOW = ("killed", "lifecycle", "threads", "layout")
#: Random programs there, for each set of ablations.
DEBUG_SEEDS = 4

#: What the only program has to say on a kernel without the facility.
ABSENT = f"smoke: {tap.WHOLE}: bailed out: this kernel has no REWIND"


class SelftestError(KernelError):
    """Self-tests failed, or the kernel did under them."""

    exit_status = 34


@dataclass(frozen=True)
class Plan:
    """One kernel and what it runs; with `absent`, it must turn out to have no REWIND."""

    name: str
    step: Step
    pieces: tuple[Piece, ...]
    absent: bool = False


def has_series() -> bool:
    """True when there are patches to test."""
    return bool(series_of(KERNEL / "patches"))


def debug_piece(programs: Sequence[str] = DEBUG_PROGRAMS, *, seed: int = 1) -> Piece:
    """The slice that a debug kernel runs."""
    commands = _patient(suite.command(name, seed=seed) for name in programs)
    return _debug_piece("debug", commands)


def debug_slice(*, seed: int = 1) -> Piece:
    """A few minutes of it, for each change; some with each page compared with its hash."""
    commands = [suite.command(name, seed=seed) for name in ("smoke", "regions", "trace", "faults")]
    commands.append(suite.command("oracle", f"-s {seed} -g 5 -o 40"))
    compared = verify_piece(("smoke",), seed=seed).commands
    return _debug_piece("debug-slice", (*_patient(commands), *compared))


def verify_piece(programs: Sequence[str] = ("smoke", "layout"), *, seed: int = 1) -> Piece:
    """The kernel's own comparison, of the pages that the portrait leaves out too; `layout` takes minutes."""
    commands = [suite.command(name, flags=VERIFY, seed=seed) for name in programs]
    commands.append(suite.command("oracle", f"-s {seed + 1} -g 5 -o 40", flags=VERIFY, seed=seed + 1))
    return _debug_piece("debug-verify", _patient(commands))


def verify_pieces(*, seed: int = 1) -> tuple[Piece, ...]:
    """The same of the long programs that change most pages, a boot for each."""
    return tuple(
        _debug_piece(
            f"debug-verify-{name}", _patient([suite.command(name, flags=VERIFY, seed=seed)]), limit_s=5400.0
        )
        for name in VERIFY_ALONE
    )


def debug_random_pieces(*, seed: int = 1) -> tuple[Piece, ...]:
    """Random programs whose pages are compared with their hashes, a boot for each set of ablations."""
    return tuple(
        _debug_piece(
            f"debug-random-{label}",
            _patient(
                suite.command("oracle", f"-s {at} -g 10 -o 40", flags=flags | VERIFY, seed=at)
                for at in range(seed, seed + DEBUG_SEEDS)
            ),
            limit_s=5400.0,
        )
        for label, flags in suite.ABLATIONS.items()
    )


def faults_piece(*, seed: int = 1) -> Piece:
    """Every allocation fails once, under each set of ablations; the debug kernel has fault injection."""
    commands = _patient(suite.command("faults", flags=flags, seed=seed) for flags in suite.ABLATIONS.values())
    return _debug_piece("faults", commands, limit_s=3600.0)


def kcsan_piece(*, seed: int = 1) -> Piece:
    """Data races, where several threads or processes are at work."""
    commands = _patient(
        suite.command(name, RACY_ARGUMENTS.get(name, ""), seed=seed) for name in RACY_PROGRAMS
    )
    machine = suite.machine(memory_mb=2048, cmdline=KCSAN_WATCH)
    return Piece("kcsan", commands, machine, 5400.0, own_races_only=True, announced=KCSAN_ANNOUNCED)


def _debug_piece(name: str, commands: tuple[str, ...], *, limit_s: float = DEBUG_LIMIT_S) -> Piece:
    machine = suite.machine(memory_mb=2048)
    return Piece(name, commands, machine, limit_s, situations=(), announced=DEBUG_ANNOUNCED)


def _patient(commands: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{DEBUG_PATIENCE} {command}" for command in commands)


def absent_piece() -> Piece:
    """A boot of a kernel without the facility."""
    return Piece("absent", (suite.command("smoke"),), Options(), 300.0)


def plans(*, full: bool = False, seed: int = 1) -> tuple[Plan, ...]:
    """What a run consists of; without a patch series only the unpatched kernel is booted."""

    def absent(variant: Variant) -> Plan:
        return Plan(variant, kernel_step(variant), (absent_piece(),), absent=True)

    if not has_series():
        return (absent("unpatched"),)
    release, debug = kernel_step("release"), kernel_step("debug")
    short = (
        Plan("release", release, suite.short_pieces(seed=seed)),
        Plan("debug", debug, (debug_piece(seed=seed), verify_piece(seed=seed))),
    )
    if not full:
        return short
    debug_pieces = (
        *(
            _debug_piece(
                f"debug-{name}",
                _patient([suite.command(name, "-a" if name in DEBUG_SLOW else "", seed=seed)]),
                limit_s=5400.0,
            )
            for name in selftests.programs()
            if name != "faults"  # which has a piece of its own, with all ablations
        ),
        *verify_pieces(seed=seed),
        *debug_random_pieces(seed=seed),
        faults_piece(seed=seed),
    )
    no_swap = kernel_step("release", extra_config=NO_SWAP)
    return (
        *short,
        absent("unpatched"),
        absent("norewind"),
        Plan("release-full", release, suite.full_pieces(seed=seed)),
        Plan("no-swap", no_swap, suite.short_pieces(seed=seed, situations=("release", "no-swap"))),
        Plan("kcsan", kernel_step("release", extra_config=KCSAN), (kcsan_piece(seed=seed),)),
        Plan("debug-full", debug, debug_pieces),
    )


def run(*, full: bool = False, seed: int = 1, progress: Progress | None = None) -> list[Verdict]:
    """Build and run; pieces that an earlier call found good for the same kernel are not run again.

    Logs and verdicts are in the cache, under kernel-tests/ and the kernel's digest. Raises the errors of
    builds and boots; failures of tests are in the verdicts (`check` raises on them).
    """
    progress = progress or Progress()
    verdicts = []
    for plan in plans(full=full, seed=seed):
        with progress.stage(f"build kernel {plan.name}"):
            image = Kernel(ensure(plan.step)).image
        with progress.stage(f"test kernel {plan.name}"):
            folder = suite.folder_of(plan.step, seed)
            judge = expect_absent if plan.absent else None
            verdicts += suite.run_pieces(image, plan.pieces, folder, progress, judge=judge)
    if full and has_series():
        verdicts += full_run.verdicts(seed, progress)
    return verdicts


def replay(text: str, progress: Progress) -> str:
    """Run one random program on the release kernel and say that it passed.

    Raises SelftestError with the smallest program that still fails (one of states stays as it is), and
    ConfigError for no such command.
    """
    program = replaying.parse(text)
    with progress.stage("build kernel release"):
        image = Kernel(ensure(kernel_step("release"))).image
    folder = suite.logs_folder() / "replay"
    found = replaying.replay(image, program, folder, progress)
    line = f"{program.name} {program.arguments}"
    if found.smallest is None:
        return f"{line}: passed"
    smallest = f"{found.smallest.name} {found.smallest.arguments}"
    hint = f"the smallest that still fails: {smallest}" if smallest != line else f"see {folder}"
    raise SelftestError("\n  ".join([f"{line} fails:", *found.verdict.problems]), hint=hint)


def only(text: str, progress: Progress) -> Verdict:
    """Run one program, or some cases of it, on the release kernel: "memory -t store*", or a line of a log.

    Raises ConfigError for no such program. The verdict is not kept; the logs are (`only_folder`).
    """
    piece = only_piece(text)
    with progress.stage("build kernel release"):
        image = Kernel(ensure(kernel_step("release"))).image
    with progress.stage(f"run {text}"):
        return suite.run_piece(image, piece, only_folder())


def only_folder() -> Path:
    """Where the last run of one program left its logs."""
    return suite.logs_folder() / "only"


def only_piece(text: str) -> Piece:
    """The boot of one program; words of the environment and the path may be there, as in a line of a log."""
    words = text.split()
    count = next((i for i, word in enumerate(words) if "=" not in word), len(words))
    environment, rest = words[:count], " ".join(words[count:]).removeprefix("/selftests/")
    if rest.partition(" ")[0] not in selftests.programs():
        raise ConfigError(
            [f"--only: {text!r} names no self-test"],
            hint=f"a program and its arguments, as \"memory -t 'store*'\": {', '.join(selftests.programs())}",
        )
    # Of two settings of a name, the later one counts.
    before, slash, command = suite.command_of(rest).partition("/")
    line = before + "".join(f"{word} " for word in environment) + slash + command
    return Piece("only", (line,), suite.machine(), 5400.0)


def expect_absent(verdict: Verdict) -> Verdict:
    """Turn the verdict of a kernel without REWIND round: to say so is what it must do."""
    others = tuple(problem for problem in verdict.problems if problem != ABSENT)
    if ABSENT not in verdict.problems:
        others = (*others, "a kernel without the facility did not say that it has none")
    return Verdict(verdict.piece, others, 1, verdict.skipped, verdict.wall_s)


def check(verdicts: Sequence[Verdict]) -> None:
    """Raise SelftestError when anything failed."""
    problems = suite.failed(verdicts)
    if problems:
        raise SelftestError(
            "\n  ".join([f"{len(problems)} problems:", *problems]),
            hint=f"logs: {suite.logs_folder()}; one program again: rewind-bench kernel-test "
            "--only 'PROGRAM -t CASE', or --replay with the command of oracle or states (the release kernel)",
        )
