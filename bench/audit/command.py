"""`rewind-bench audit`: run the oracle and the audit, say the verdict, and fail where isolation does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from analysis import frames, verdicts
from bench import config, plugins, runs
from bench.errors import IsolationError, RunIncompleteError
from bench.progress import Progress
from bench.refresh import Reporter
from bench.runner import Run

SHOWN = 40


def audit(profile: str, changes: Mapping[str, Any], users: Sequence[str], root: Path) -> None:
    """Run the profile for each launcher user and judge; IsolationError, or RunIncompleteError of a run.

    `changes` are keys of the profile. An incomplete run is judged too, as far as it got.
    """
    problems: list[str] = []
    incomplete: RunIncompleteError | None = None
    for user in users:
        resolved = config.load(profile, {**changes, "runtime.launcher_user": user})
        progress = Progress()
        with runs.new(resolved, root) as folder:
            reporter = Reporter(folder.path, progress)
            try:
                Run(resolved, folder, progress, reporter).execute()
            except RunIncompleteError as error:
                incomplete = error
            progress.console.print(f"\nrun:    {folder.path}\nreport: {reporter.path}", soft_wrap=True)
        problems += judge(folder.path, progress.console)
    if incomplete is not None:
        raise incomplete
    fail(problems)


def with_control(names: Sequence[str]) -> list[str]:
    """These schemes, and one without isolation: without it no verdict proves anything."""
    control = next(scheme.name for scheme in plugins.schemes().values() if not scheme.spec.isolates)
    return list(dict.fromkeys([control, *names]))


def judge(run: Path, console: Console) -> list[str]:
    """Print a run's verdicts; the problems, one line each."""
    loaded = frames.load(run)
    if len(loaded.audit):
        console.print(_table(loaded))
    for note in verdicts.stale_claims(loaded):
        console.print(f"note: {note}", highlight=False, soft_wrap=True)
    return [str(problem) for problem in verdicts.problems(loaded)]


def fail(problems: Sequence[str]) -> None:
    """Raise IsolationError when there are problems."""
    if not problems:
        return
    shown = "\n  ".join(problems[:SHOWN])
    more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    raise IsolationError(
        f"{len(problems)} findings of the audit:\n  {shown}{more}",
        hint="docs/audit.md says what each channel does; a scheme that means to leave one names it in its"
        " scheme.toml (leaves)",
    )


def _table(loaded: frames.Frames) -> Table:
    counts = verdicts.counts(loaded)
    table = Table(*(str(name) for name in counts.columns), box=None, padding=(0, 2, 0, 0))
    for row in counts.itertuples(index=False):
        table.add_row(*(str(value) for value in row))
    return table
