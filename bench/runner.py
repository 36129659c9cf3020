"""A run, step by step: plan, build, testbed, provision, cells, report.

Every finished cell is on disk before the next begins, so whatever ends a run (an interrupt, a
panic of the guest, a full disk, `kill -9`) costs at most the cell in hand.
"""

from __future__ import annotations

import datetime
import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench import experiments
from bench.config import Resolved
from bench.errors import (
    BenchError,
    DiskFullError,
    HostLostError,
    KernelPanicError,
    RunIncompleteError,
)
from bench.experiments import Bed, Cell, Outcome
from bench.hosts.leftovers import short_folder
from bench.hosts.living import announced
from bench.progress import Progress, Remaining, duration
from bench.provision import Ready, open_testbed, provision
from bench.refresh import Reporter
from bench.store.folder import RunFolder
from bench.store.keys import CellKey
from bench.store.rows import CellRecord

#: So often is a lost testbed made anew before the run gives up.
MAX_TESTBED_LOSSES = 3


def plan(resolved: Resolved) -> list[Cell]:
    """All cells, in the seeded random order in which they are measured.

    Cells that need the same pool size follow each other, because another one means another
    platform; within a pool size, and among pool sizes, the order is random, so that drift does
    not favour a scheme.
    """
    registry = experiments.registry()
    cells = [
        cell
        for name, settings in resolved.settings.items()
        for cell in registry[name].plan(
            settings, resolved.schemes, resolved.workloads, resolved.profile.platform.user_memory_mb
        )
    ]
    shuffle = random.Random(resolved.profile.seed)  # noqa: S311  (reproducible, not secret)
    pools = sorted({cell.pool_mb for cell in cells})
    shuffle.shuffle(pools)
    shuffle.shuffle(cells)
    return sorted(cells, key=lambda cell: pools.index(cell.pool_mb))


@dataclass
class Run:
    """One execution of a profile in its folder."""

    resolved: Resolved
    folder: RunFolder
    progress: Progress
    reporter: Reporter

    def execute(self) -> None:
        """Measure all missing cells; RunIncompleteError when some failed.

        Any other BenchError ended the run early; finished cells are kept either way.
        """
        cells = plan(self.resolved)
        self.folder.manifest.planned_cells = len(cells)
        self.folder.write_manifest()
        try:
            with announced(self.folder.path.name):
                self._measure_all(cells)
        except BenchError as error:
            self._note(error)
            raise
        finally:
            self._finish()
        failed = self.folder.missing([cell.key for cell in cells])
        if failed:
            shown = "\n  ".join(str(key) for key in failed[:20])
            raise RunIncompleteError(
                f"{len(failed)} of {len(cells)} cells failed:\n  {shown}",
                hint="the report says why; 'rewind-bench run --resume' tries them again",
            )

    def _measure_all(self, cells: Sequence[Cell]) -> None:
        tried: set[CellKey] = set()
        for attempt in range(MAX_TESTBED_LOSSES + 1):
            left = [cell for cell in self._missing(cells) if cell.key not in tried]
            if not left:
                return
            try:
                self._on_testbed(left, tried)
            except (HostLostError, KernelPanicError) as error:
                self._note(error)
                if attempt == MAX_TESTBED_LOSSES or self.resolved.profile.testbed.kind != "vm":
                    raise
                self.progress.say(f"[red]testbed lost[/red]: {error.message}; making it anew")

    def _missing(self, cells: Sequence[Cell]) -> list[Cell]:
        missing = set(self.folder.missing([cell.key for cell in cells]))
        return [cell for cell in cells if cell.key in missing]

    def _on_testbed(self, cells: Sequence[Cell], tried: set[CellKey]) -> None:
        remaining = Remaining([_kind(cell) for cell in cells])
        with open_testbed(self.resolved, self.folder, self.progress) as testbed:
            for pool_mb, block in itertools.groupby(cells, key=lambda cell: cell.pool_mb):
                with provision(testbed, self.resolved, pool_mb, self.folder, self.progress) as ready:
                    for cell in block:
                        began = time.monotonic()
                        tried.add(cell.key)
                        self._one(cell, ready)
                        remaining.finished(_kind(cell), time.monotonic() - began)
                        self._tell(cell, time.monotonic() - began, remaining)
                        self.reporter.cell_finished()

    def _one(self, cell: Cell, ready: Ready) -> None:
        began = time.time()
        outcome = Outcome(rows={})
        error: BenchError | None = None
        with short_folder() as scratch:
            bed = Bed(
                host=ready.host,
                client=ready.client,
                endpoint=ready.endpoint,
                cpus=ready.facts.cpus,
                images=ready.images,
                workloads=self.resolved.workloads,
                size=self.resolved.profile.size,
                seed=self.resolved.profile.seed,
                slowdown=ready.slowdown,
                scratch=scratch,
                say=self.progress.say,
            )
            experiment = experiments.registry()[cell.experiment]
            settings = self.resolved.settings[cell.experiment].of(cell.scheme.name)
            try:
                outcome = experiment.measure(cell, bed, settings)
            except DiskFullError:
                raise
            except BenchError as raised:
                error = ready.cause(raised)
        problem = str(error) if error is not None else "; ".join(outcome.problems)
        record = CellRecord.of(
            cell.key,
            started_s=began,
            ended_s=time.time(),
            status="failed" if problem else "ok",
            error=problem,
            hint=error.hint if error is not None else "",
            boot_id=ready.facts.boot_id,
            requests=outcome.requests,
            late=outcome.late,
            dropped=outcome.dropped,
            wrong=outcome.wrong,
            platform_cpu_share=outcome.platform_cpu_share,
        )
        self.folder.record(record, outcome.rows)
        if problem:
            self.progress.say(f"[red]cell failed[/red]: {cell.label}: {problem}")
        lost = ready.cause(error)
        if isinstance(lost, HostLostError | KernelPanicError):
            raise lost

    def _tell(self, cell: Cell, seconds: float, remaining: Remaining) -> None:
        total = self.folder.manifest.planned_cells
        left = len(remaining.left)
        estimate = remaining.seconds()
        rest = f", about {duration(estimate)} left" if estimate is not None and left else ""
        self.progress.say(f"cell {total - left}/{total} {cell.label} in {duration(seconds)}{rest}")

    def _note(self, error: BenchError) -> None:
        self.folder.manifest.failures.append(str(error))
        self.folder.write_manifest()

    def _finish(self) -> None:
        self.folder.manifest.ended = now()
        self.folder.manifest.stages = list(self.progress.stages)
        self.folder.write_manifest()
        self.reporter.finish()


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _kind(cell: Cell) -> str:
    return f"{cell.experiment}/{cell.scheme.name}"
