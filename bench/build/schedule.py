"""Build several steps, the independent ones side by side, and say how long each took."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Literal

from bench.build.cache import DEFAULT_LIMIT_BYTES, remove_leftovers, trim
from bench.build.step import Product, Step, build

State = Literal["started", "built", "cached", "failed"]
#: Waiting for a lock, a mirror or a single-threaded stage is most of a build; one more than that
#: would only make two compilers share the cores.
DEFAULT_JOBS = 3


@dataclass(frozen=True)
class Event:
    """Something happened to a step; `seconds` is 0 until it ends."""

    step: str
    state: State
    seconds: float
    #: How many of how many steps are done.
    done: int
    total: int


Progress = Callable[[Event], None]


@dataclass(frozen=True)
class Built:
    """The outcome: products of the steps asked for, and every step's time."""

    products: Mapping[str, Product]
    seconds: Mapping[str, float]


def build_all(
    steps: Iterable[Step],
    *,
    jobs: int = DEFAULT_JOBS,
    progress: Progress = lambda _event: None,
    limit_bytes: int = DEFAULT_LIMIT_BYTES,
) -> Built:
    """Build all steps and what they need; keeps the cache within its limit afterwards.

    The first failure stops what else runs, and is raised; so does an interrupt. `progress` is called
    from this thread.
    """
    wanted = list(steps)
    remove_leftovers()
    run = _Run(_plan(wanted), progress)
    try:
        with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
            try:
                run.all(pool)
            except BaseException:
                run.stop.set()
                raise
    finally:
        trim(limit_bytes, keep=[step.product.path for step in run.plan.values()])
    return Built({step.name: step.product for step in wanted}, run.seconds)


def _plan(steps: Iterable[Step]) -> dict[str, Step]:
    """All steps to look at, by cache key; what a cached product was made from is not among them."""
    plan: dict[str, Step] = {}

    def visit(step: Step) -> None:
        if step.slot.key not in plan:
            if not step.cached():
                for need in step.before.values():
                    visit(need)
            plan[step.slot.key] = step

    for step in steps:
        visit(step)
    return plan


class _Run:
    def __init__(self, plan: dict[str, Step], progress: Progress) -> None:
        self.plan = plan
        self.stop = threading.Event()
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._waiting = dict(plan)
        self._done: set[str] = set()
        self._running: dict[Future[float], Step] = {}

    def all(self, pool: ThreadPoolExecutor) -> None:
        while self._waiting or self._running:
            self._start_ready(pool)
            # The time limit lets an interrupt through.
            finished, _ = wait(self._running, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in finished:
                self._finish(self._running.pop(future), future)

    def _start_ready(self, pool: ThreadPoolExecutor) -> None:
        for key, step in list(self._waiting.items()):
            if step.cached():
                del self._waiting[key]
                step.slot.touch()
                self._end(step, "cached", 0.0)
            elif all(need.slot.key in self._done for need in step.before.values()):
                del self._waiting[key]
                self._tell(step, "started", 0.0)
                self._running[pool.submit(self._build, step)] = step

    def _build(self, step: Step) -> float:
        start = time.monotonic()
        build(step, {key: need.product for key, need in step.before.items()}, self.stop)
        return time.monotonic() - start

    def _finish(self, step: Step, future: Future[float]) -> None:
        try:
            seconds = future.result()
        except BaseException:
            self._tell(step, "failed", 0.0)
            raise
        self._end(step, "built", seconds)

    def _end(self, step: Step, state: State, seconds: float) -> None:
        self._done.add(step.slot.key)
        self.seconds[step.name] = seconds
        self._tell(step, state, seconds)

    def _tell(self, step: Step, state: State, seconds: float) -> None:
        self._progress(Event(step.name, state, seconds, len(self._done), len(self.plan)))
