"""Progress on anything that takes over two seconds: rich on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import Console

from bench.store.manifest import Stage

#: Plain output says at least this often that it is alive.
HEARTBEAT_S = 30.0


def duration(seconds: float) -> str:
    """Seconds as a person reads them: "7 s", "3 min 05 s", "1 h 02 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@dataclass
class Progress:
    """Stages with their times, and the cells of a run with the remaining time."""

    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    stages: list[Stage] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, text: str) -> None:
        """One line with the elapsed time before it."""
        with self._lock:
            self.console.print(
                f"[dim]{duration(time.monotonic() - self._began):>12}[/dim]  {text}", soft_wrap=True
            )

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage; its wall time is kept, and said when it took long or failed."""
        began = time.monotonic()
        stop = threading.Event()
        beat = threading.Thread(target=self._heartbeat, args=(name, began, stop), daemon=True)
        self.say(f"{name} …")
        beat.start()
        try:
            yield
        except BaseException:
            self.say(f"[red]{name} failed[/red] after {duration(time.monotonic() - began)}")
            raise
        finally:
            stop.set()
            seconds = time.monotonic() - began
            with self._lock:
                self.stages.append(Stage(name, round(seconds, 1)))
        self.say(f"{name} [green]done[/green] in {duration(seconds)}")

    def add(self, name: str, seconds: float) -> None:
        """Note the time of something that ran beside others within a stage."""
        with self._lock:
            self.stages.append(Stage(name, round(seconds, 1)))

    def summary(self) -> None:
        """Time per stage, at the end of a run."""
        with self._lock:
            self.console.print("\nTime per stage:")
            for stage in self.stages:
                self.console.print(f"  {duration(stage.seconds):>12}  {stage.name}")

    def _heartbeat(self, name: str, began: float, stop: threading.Event) -> None:
        while not stop.wait(HEARTBEAT_S):
            self.say(f"[dim]{name}: still at it, {duration(time.monotonic() - began)}[/dim]")


@dataclass
class Remaining:
    """How long the cells that are left will take, from how long their like took.

    A cold cell takes many times a warm one, so times are kept per kind of cell; a kind not
    seen yet counts as the mean of those seen.
    """

    left: list[str]
    taken: dict[str, list[float]] = field(default_factory=dict)

    def finished(self, kind: str, seconds: float) -> None:
        """A cell of this kind is over."""
        self.left.remove(kind)
        self.taken.setdefault(kind, []).append(seconds)

    def seconds(self) -> float | None:
        """The estimate; None while nothing is known."""
        if not self.taken:
            return None
        means = {kind: sum(times) / len(times) for kind, times in self.taken.items()}
        usual = sum(means.values()) / len(means)
        return sum(means.get(kind, usual) for kind in self.left)
