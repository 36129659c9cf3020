"""The report while a run goes on: made anew from the first finished cell, but not too often.

It is made in a process of its own: figures take memory and time that the harness should not
spend beside a measurement.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench import process
from bench.errors import BenchError
from bench.progress import Progress

#: Between cells a refresh may take at most this share of the run's time.
MAX_SHARE = 0.05
TIME_LIMIT_S = 300.0


@dataclass
class Reporter:
    """Keeps RUN/report.html fresh."""

    run: Path
    progress: Progress
    _last_end: float = field(default=0.0)
    _last_took_s: float = field(default=0.0)

    @property
    def path(self) -> Path:
        """The report."""
        return self.run / "report.html"

    def cell_finished(self) -> None:
        """Refresh when the last refresh is long enough ago for its cost."""
        if time.monotonic() - self._last_end < self._last_took_s / MAX_SHARE:
            return
        first = not self.path.exists()
        self._write(draft=True)
        if first and self.path.exists():
            self.progress.say(f"a first report is at {self.path} (refreshed while the run goes on)")

    def finish(self) -> None:
        """The last report of the run."""
        with self.progress.stage("report"):
            self._write(draft=False)

    def _write(self, *, draft: bool) -> None:
        began = time.monotonic()
        argv = [sys.executable, "-m", "bench", "report", str(self.run), *(["--draft"] if draft else [])]
        try:
            process.run(argv, timeout_s=TIME_LIMIT_S, log=self.run / "logs" / "report.log")
        except BenchError as error:
            # The measurements are what matters: a report can be made again at any time.
            self.progress.say(f"[red]no report[/red]: {error.message}")
        self._last_end = time.monotonic()
        self._last_took_s = self._last_end - began
