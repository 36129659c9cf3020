"""The command line: `rewind-bench`. Errors become one message, a hint, and a distinct exit status."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from bench.errors import BenchError
from bench.kernel import commands as kernel_commands

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="What isolating one serverless request from the next costs, and whether it holds.",
)
INTERRUPTED = 130
ProfileOption = Annotated[str, typer.Option(help="A file in configs/ (without .toml), or a path to one.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one key of the profile, as in --set testbed.memory_mb=8192."),
]


@app.command()
def doctor(
    testbed: Annotated[str, typer.Option(help="What must work: vm, local, or all (for the tests).")] = "vm",
    install: Annotated[bool, typer.Option(help="Install what is missing, where that is allowed.")] = False,
    quiet: Annotated[bool, typer.Option(help="Say only what is missing.")] = False,
) -> None:
    """Say what is missing on this machine, with the command that mends it."""
    from bench import doctor as checks
    from bench.errors import MissingToolError

    found = checks.examine(testbed=testbed)
    if install and checks.install_command(found):
        Console(stderr=True).print("installing missing system packages …")
        checks.install_missing(found)
        found = checks.examine(testbed=testbed)
    lacking = checks.missing(found)
    shown = lacking if quiet else found
    if shown:
        Console().print(checks.table(shown))
    if lacking:
        raise MissingToolError(
            "this machine lacks: " + ", ".join(check.name for check in lacking),
            hint=" ".join(checks.install_command(found)) or "; ".join(c.mend for c in lacking),
        )


@app.command()
def build(profile: ProfileOption = "quick", settings: SetOption = None) -> None:
    """Build kernel, guest and images for a profile, without running anything."""
    from bench import config, provision
    from bench.progress import Progress

    progress = Progress()
    products = provision.build_products(config.load(profile, overrides(settings or [])), progress)
    for name, digest in sorted(products.digests.items()):
        Console().print(f"{digest[:12]}  {name}", highlight=False)
    progress.summary()


@app.command()
def run(
    profile: ProfileOption = "quick",
    testbed: Annotated[str | None, typer.Option(help="vm, local, or user@host[:port].")] = None,
    schemes: Annotated[str | None, typer.Option(help="Comma-separated, instead of the profile's.")] = None,
    workloads: Annotated[str | None, typer.Option(help="Comma-separated, instead of the profile's.")] = None,
    resume: Annotated[
        bool, typer.Option(help="Go on with the newest unfinished run of this profile, if there is one.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Where run folders go (default: results/).")] = None,
    settings: SetOption = None,
) -> None:
    """Run a profile: build, boot, deploy, drive, measure, plot."""
    from bench import config, runs
    from bench.paths import RESULTS
    from bench.progress import Progress
    from bench.refresh import Reporter
    from bench.runner import Run

    changes = {**overrides(settings or []), **testbed_of(testbed)}
    for key, value in (("schemes", schemes), ("workloads", workloads)):
        if value is not None:
            changes[key] = names(value)
    resolved = config.load(profile, changes)
    root = out or RESULTS
    progress = Progress()
    folder = runs.resume(resolved, root, progress.say) if resume else None
    if folder is not None:
        progress.say(f"going on with {folder.path}")
    with folder or runs.new(resolved, root) as folder:
        reporter = Reporter(folder.path, progress)
        try:
            Run(resolved, folder, progress, reporter).execute()
        except KeyboardInterrupt:
            again = "'rewind-bench run --resume' goes on"
            progress.console.print(f"interrupted; finished cells are kept: {again}")
            raise typer.Exit(INTERRUPTED) from None
        finally:
            progress.summary()
            progress.console.print(f"\nrun:    {folder.path}\nreport: {reporter.path}", soft_wrap=True)


@app.command()
def report(
    run_folder: Annotated[Path, typer.Argument(help="A folder results/RUN.")],
    draft: Annotated[bool, typer.Option(help="Faster: only what the HTML file needs.")] = False,
) -> None:
    """Make figures and report of a run again. Needs neither VM nor root."""
    from analysis import report as reports

    Console().print(f"report: {reports.write(run_folder, draft=draft)}", soft_wrap=True, highlight=False)


@app.command()
def audit(
    profile: ProfileOption = "isolation",
    testbed: Annotated[str | None, typer.Option(help="vm, local, or user@host[:port].")] = None,
    schemes: Annotated[
        str | None, typer.Option(help="Comma-separated; the control takes part anyway.")
    ] = None,
    channels: Annotated[
        str | None, typer.Option(help="Comma-separated channels or families, 'core', or 'all'.")
    ] = None,
    launcher_user: Annotated[str, typer.Option(help="unprivileged, root, or both.")] = "both",
    judge: Annotated[Path | None, typer.Option(help="Only judge this run again.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where run folders go (default: results/).")] = None,
    settings: SetOption = None,
) -> None:
    """Audit the isolation of schemes: what does one request leave for the next?"""
    from bench.audit import command
    from bench.paths import RESULTS

    if judge is not None:
        command.fail(command.judge(judge, Console()))
        return
    changes = {**overrides(settings or []), **testbed_of(testbed)}
    if schemes is not None:
        changes["schemes"] = command.with_control(names(schemes))
    if channels is not None:
        changes["experiments.audit.channels"] = names(channels)
    users = ["unprivileged", "root"] if launcher_user == "both" else [launcher_user]
    command.audit(profile, changes, users, out or RESULTS)


@app.command()
def vm(
    profile: ProfileOption = "quick",
    command: Annotated[list[str] | None, typer.Argument(help="Run this instead of a shell.")] = None,
) -> None:
    """Boot the guest of a profile and get a shell in it."""
    from bench import config, shell
    from bench.progress import Progress

    raise typer.Exit(shell.open_shell(config.load(profile), command or [], Progress()))


@app.command()
def selfcost(
    docker: Annotated[bool, typer.Option(help="Also through this machine's Docker.")] = True,
    out: Annotated[Path | None, typer.Option(help="Write the figures to this JSON file.")] = None,
) -> None:
    """What the harness itself costs: load generator, platform, Docker."""
    import msgspec
    from rich.table import Table

    from bench import selfcost as own
    from bench.progress import Progress

    report = own.measure(Progress(), docker=docker)
    table = Table("figure", "value", "target", "n", box=None, padding=(0, 2, 0, 0))
    for figure in report.figures:
        table.add_row(figure.name, f"{figure.value:.2f} {figure.unit}", figure.target, str(figure.n))
    Console().print(table)
    Console().print(
        f"{report.cpu_count} CPUs, Linux {report.kernel}, load average before: {report.load_average:.1f}",
        highlight=False,
    )
    if out is not None:
        out.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))


@app.command()
def clean(
    cache: Annotated[bool, typer.Option("--cache", help="Drop the build cache as well.")] = False,
) -> None:
    """End and remove what a killed run left: guests, containers, tunnels, temporary files."""
    from bench.hosts import clean as cleaning

    for line in cleaning.clean(cache=cache).lines() or ["nothing was left"]:
        Console().print(line, highlight=False)


app.command("kernel-test")(kernel_commands.kernel_test)
app.command("kernel-cost")(kernel_commands.kernel_cost)
app.command("regress")(kernel_commands.compare_kernels)


def names(text: str) -> list[str]:
    """A list with commas; ConfigError when nothing is in it, which would mean everything."""
    from bench.errors import ConfigError

    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise ConfigError([f"{text!r} names nothing"], hint="leave the option out to take all")
    return found


def testbed_of(option: str | None) -> dict[str, Any]:
    """The profile's keys for --testbed."""
    if option is None:
        return {}
    return {"testbed.kind": "ssh", "testbed.host": option} if "@" in option else {"testbed.kind": option}


def overrides(pairs: list[str]) -> dict[str, Any]:
    """`a.b=value` pairs; values are TOML, and plain words are strings."""
    import tomllib

    from bench.errors import ConfigError

    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ConfigError([f"--set {pair}: must be KEY=VALUE"], hint="as in --set testbed.memory_mb=8192")
        try:
            found[key] = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            found[key] = text
    return found


def main() -> NoReturn:
    """Entry point."""
    signal.signal(signal.SIGTERM, _terminated)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        status = app(standalone_mode=False)
    except BenchError as error:
        console.print("[red]error:[/red]", end=" ")
        console.print(str(error), markup=False)
        if error.hint:
            console.print(f"hint: {error.hint}", markup=False)
        sys.exit(error.exit_status)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        console.print("interrupted")
        sys.exit(INTERRUPTED)
    except Exception as error:
        usage = getattr(error, "show", None)  # click's usage errors print themselves
        if usage is None:
            raise
        usage()
        sys.exit(getattr(error, "exit_code", 2))
    sys.exit(status if isinstance(status, int) else 0)


def _terminated(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
