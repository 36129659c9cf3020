"""The command line's part for kernels: `kernel-test`, `kernel-cost`, `regress`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from bench.kernel.suite import Verdict

WHOLE = "the whole series, on Debian's linux-source-6.12"
KernelOption = Annotated[
    Path | None,
    typer.Option(
        help=f"A folder of patches ({WHOLE}), a kernel tree, or a bzImage (default: kernel/patches)."
    ),
]


def kernel_test(
    full: Annotated[bool, typer.Option(help="Everything, in pieces that can be resumed; hours.")] = False,
    seed: Annotated[int, typer.Option(help="Of the random programs.")] = 1,
    replay: Annotated[
        str,
        typer.Option(
            help='Only this random program: "oracle -s 7 -g 20 -o 60", which is made small when it fails, or '
            '"states -s 7 -g 20", which is not.'
        ),
    ] = "",
    only: Annotated[
        str,
        typer.Option(
            help="Only this program on the release kernel, or some cases of it: \"memory -t 'store*'\"; "
            '"memory -a" for the slow ones too.'
        ),
    ] = "",
) -> None:
    """Build the kernel's variants, boot each with the self-tests, and judge."""
    from bench.errors import ConfigError
    from bench.kernel import plan, run_report, suite
    from bench.progress import Progress

    progress = Progress()
    if sum(map(bool, (full, replay, only))) > 1:
        raise ConfigError(["--full, --replay and --only exclude each other"], hint="give one of them")
    if only:
        verdict = plan.only(only, progress)
        Console().print(summary_of(verdict), highlight=False, markup=False)
        Console().print(f"logs: {plan.only_folder()}", soft_wrap=True, highlight=False)
        run_report.write_junit([verdict], plan.only_folder())
        plan.check([verdict])
        return
    if replay:
        line = plan.replay(replay, progress)
        Console().print(line, highlight=False, markup=False, soft_wrap=True)
        return
    verdicts = plan.run(full=full, seed=seed, progress=progress)
    for verdict in verdicts:
        Console().print(summary_of(verdict), highlight=False, markup=False)
    Console().print(run_report.random_programs(verdicts), highlight=False, markup=False, soft_wrap=True)
    path = run_report.write_junit(verdicts, suite.logs_folder())
    Console().print(f"JUnit: {path}", soft_wrap=True, highlight=False)
    progress.summary()
    plan.check(verdicts)


def summary_of(verdict: Verdict) -> str:
    """One line about a verdict, and one for each case that was skipped."""
    counts = f"{verdict.passed} passed, {len(verdict.skipped)} skipped, {len(verdict.problems)} problems"
    return "\n".join([f"{verdict.piece}: {counts}", *(f"  skipped: {case}" for case in verdict.skipped)])


def kernel_cost(
    kernel: KernelOption = None,
    out: Annotated[Path, typer.Option(help="Where JSON and figure go.")] = Path("results/kernel-cost"),
    once: Annotated[bool, typer.Option(help="Skip the second boot that proves repeatability.")] = False,
) -> None:
    """Measure checkpoint and rewind under the instruction clock."""
    from bench.kernel import cost_report, regress
    from bench.paths import KERNEL
    from bench.progress import Progress

    progress = Progress()
    source = kernel or KERNEL / "patches"
    with progress.stage("build kernel"):
        image = regress.image_of(source)
    out.mkdir(parents=True, exist_ok=True)
    report = cost_report.kernel_cost(image, out, label=str(source), twice=not once, progress=progress)
    for line in report.errors:
        Console().print(f"refused: {line}", highlight=False, markup=False)
    Console().print(cost_report.table(report.lines))
    Console().print(cost_report.table_beside(report.beside))
    for one in report.compared:
        Console().print(str(one), highlight=False, markup=False)
    for path in report.files:
        Console().print(str(path), soft_wrap=True, highlight=False)
    report.check()


def compare_kernels(
    kernel: Annotated[
        Path, typer.Option(help=f"The new one: a folder of patches ({WHOLE}), a tree, or a bzImage.")
    ],
    against: KernelOption = None,
    out: Annotated[Path, typer.Option(help="Where JSON, Markdown and JUnit go.")] = Path("results/regress"),
    thresholds: Annotated[Path | None, typer.Option(help="Limits (default: configs/regress.toml).")] = None,
) -> None:
    """Compare two kernels; the exit status says whether the new one is worse.

    Under nox, relative paths begin at the folder of noxfile.py.
    """
    from bench.kernel import regress, regress_report
    from bench.kernel import thresholds as limits
    from bench.paths import CONFIGS, KERNEL
    from bench.progress import Progress

    progress = Progress()
    chosen = limits.load(thresholds or CONFIGS / "regress.toml")
    out.mkdir(parents=True, exist_ok=True)
    found = regress.run(kernel, against or KERNEL / "patches", out / "work", chosen, progress=progress)
    paths = regress_report.write(found, out)
    for path in paths:
        Console().print(str(path), soft_wrap=True, highlight=False)
    regress.check(found, paths[1])
