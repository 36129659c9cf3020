"""An activation from receipt to record, and the containers that it moves through the pool."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from bench.platforms.embedded import texts
from bench.platforms.embedded.config import Config
from bench.platforms.embedded.driver import Driver
from bench.platforms.embedded.entities import Action
from bench.platforms.embedded.logs import Expected
from bench.platforms.embedded.pool import Decision, Job, Owner, Pool, Prewarm, Remove, Run, Slot, Stem
from bench.platforms.embedded.proxy import ProxyClient
from bench.platforms.embedded.records import NS_PER_MS, Activation, Outcome, error_outcome
from bench.platforms.embedded.store import Store
from bench.platforms.embedded.worker import UnservedError, Worker

log = logging.getLogger(__name__)
SWEEP_S = 1.0
MS_PER_S = 1000


class Invoker:
    """Owns the pool, the containers and every running activation."""

    def __init__(self, config: Config, driver: Driver, store: Store) -> None:
        self._config = config
        self._driver = driver
        self._store = store
        stems = tuple(Stem(config.kinds[c.kind].image, c.memory_mb, c.count) for c in config.stem_cells)
        self.pool = Pool(config.user_memory_mb, stems)
        self.counters: Counter[str] = Counter()
        self._workers: dict[Slot, Worker] = {}
        self._placed: dict[Job, asyncio.Future[Run]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._proxy: ProxyClient | None = None

    async def open(self) -> None:
        """Start what is to be there before the first request."""
        self._proxy = ProxyClient(
            payload_bytes=self._config.limits.payload_bytes, keep_alive=self._config.keep_alive
        )
        self._apply(self.pool.open())
        self._spawn(self._sweep())

    async def close(self) -> None:
        """End all activations and remove all containers."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.pool.close()
        await self._driver.close()
        if self._proxy is not None:
            await self._proxy.close()

    def invoke(
        self,
        action: Action,
        args: msgspec.Raw,
        transaction: str,
        receipt_ns: int,
        ended: Callable[[], None],
    ) -> Activation:
        """Begin an activation; its `ended` and `complete` tell how far it is."""
        activation = Activation(
            id=secrets.token_hex(16),
            action=action,
            subject=action.namespace,
            receipt_ns=receipt_ns,
            transaction=transaction,
            when_ended=ended,
        )
        self._store.begin(activation)
        self._spawn(self._activate(activation, args))
        return activation

    def forget(self, action: Action) -> None:
        """The action was changed or deleted: its containers are of no use any more."""
        owner = _owner(action)
        self._apply(self.pool.forget(lambda o: o == owner))

    def containers(self) -> list[dict[str, Any]]:
        """Every container, with what it is doing."""
        return [
            {
                "id": worker.container.id,
                "name": worker.container.name,
                "action": slot.owner.action if slot.owner is not None else "",
                "phase": slot.phase.value,
                "served": worker.served,
                "memoryMb": slot.memory_mb,
            }
            for slot, worker in self._workers.items()
            if worker.container is not None
        ]

    async def _activate(self, activation: Activation, args: msgspec.Raw) -> None:
        action = activation.action
        job = Job(_owner(action), self._image(action), action.memory_mb, fresh=action.fresh)
        activation.pending = 1
        outcome = error_outcome("whisk internal error", texts.INTERNAL)
        worker: Worker | None = None
        try:
            while True:
                run = await self._place(job)
                worker = self._workers[run.slot]
                self._note(activation, run, job)
                try:
                    outcome = await self._serve(activation, worker, run, args)
                    break
                except UnservedError as lost:
                    again = self._send_again(job, worker, str(lost))
                    worker = None
                    if not again:
                        outcome = error_outcome("action developer error", texts.ABNORMAL_RUN)
                        break
        except asyncio.CancelledError:
            self._apply(self.pool.cancel(job))
            raise
        except Exception:
            log.exception("activation %s", activation.id)
        finally:
            self._placed.pop(job, None)
            activation.resent = job.resent
            self._end(activation, worker, outcome)

    async def _serve(self, activation: Activation, worker: Worker, run: Run, args: msgspec.Raw) -> Outcome:
        if run.start == "cold":
            failed = await worker.start(f"{activation.action.namespace}_{activation.action.name}")
            if failed is not None:
                activation.start_ms = time.time_ns() // NS_PER_MS
                activation.wait_ns = time.monotonic_ns() - activation.receipt_ns
                return failed
        assert worker.container is not None  # noqa: S101 - started above or before
        activation.container_id = worker.container.id
        activation.container_name = worker.container.name
        expected = self._expect_logs(activation, worker)
        try:
            return await worker.serve(activation, args)
        finally:
            if not expected.closed:
                asyncio.get_running_loop().call_later(
                    self._config.log_timeout_ms / MS_PER_S, worker.container.log.abandon, expected
                )

    def _note(self, activation: Activation, run: Run, job: Job) -> None:
        activation.start_kind = run.start
        activation.pool_at_dispatch = self.pool.counts()
        activation.resent = job.resent
        self.counters[run.start] += 1

    def _expect_logs(self, activation: Activation, worker: Worker) -> Expected:
        """The record waits for the lines, the reply and the container do not."""
        assert worker.container is not None  # noqa: S101 - started
        activation.pending += 1
        part = activation.log_part()

        def done(lines: list[str]) -> None:
            part.extend(lines)
            self._part(activation)

        return worker.container.log.expect(activation.action.logs_mb * texts.MEGABYTE, done)

    def _send_again(self, job: Job, worker: Worker, reason: str) -> bool:
        """A request that was lost before it began goes to another container, once."""
        log.warning("container of %s lost before a request began: %s", job.owner.action, reason)
        if job.resent:
            self._retire(worker, reason)
            return False
        self.counters["resent"] += 1
        self._placed[job] = asyncio.get_running_loop().create_future()
        self._apply(self.pool.requeue(job))  # first, so that its place at the head is its own
        self._retire(worker, reason)
        return True

    def _end(self, activation: Activation, worker: Worker | None, outcome: Outcome) -> None:
        """Tell the client, then see to the container."""
        activation.outcome = outcome
        activation.end_ms = time.time_ns() // NS_PER_MS
        activation.start_ms = activation.start_ms or activation.end_ms
        self.counters[outcome.status] += 1
        self._store.end(activation)
        activation.ended.set()
        activation.when_ended()
        if worker is not None:
            if outcome.healthy and not activation.action.fresh:
                self._settle(worker, activation)
            else:
                reason = "one request per container" if outcome.healthy else outcome.status
                self._retire(worker, reason)
        self._part(activation)

    def _settle(self, worker: Worker, activation: Activation) -> None:
        """Back to the pool, once the container says that it can take the next request."""
        if worker.confirms is False:
            self._release(worker)
            return
        activation.pending += 1
        self._apply(self.pool.settle(worker.slot))
        self._spawn(self._confirm(worker, activation, time.monotonic_ns()))

    async def _confirm(self, worker: Worker, activation: Activation, replied_ns: int) -> None:
        found = await worker.confirm()
        if found.supported:
            activation.busy_after_ns = found.busy_ns
            activation.ready_after_ns = time.monotonic_ns() - replied_ns
            activation.restore = found.restore
        if found.ready:
            self._release(worker)
        else:
            activation.retired = found.reason
            self.counters["retired"] += 1
            log.warning("container retired: %s", found.reason)
            if worker.slot.bound is not None:
                self.counters["resent"] += 1
            self._retire(worker, found.reason)
        self._part(activation)

    def _release(self, worker: Worker) -> None:
        self._apply(self.pool.release(worker.slot, time.monotonic_ns()))
        if worker.slot in self._workers and not worker.slot.busy:
            worker.idle()

    def _retire(self, worker: Worker, reason: str) -> None:
        self._apply(self.pool.remove(worker.slot, reason))

    def _part(self, activation: Activation) -> None:
        """One more part of the record is there."""
        activation.pending -= 1
        if activation.pending == 0:
            activation.complete.set()
        if activation.ended.is_set():
            self._store.changed(activation)

    async def _place(self, job: Job) -> Run:
        if job not in self._placed:
            self._placed[job] = asyncio.get_running_loop().create_future()
            self._apply(self.pool.submit(job))
        future = self._placed[job]
        run = future.result() if future.done() else await future
        del self._placed[job]
        return run

    def _apply(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Run(job=job, slot=slot):
                    self._worker(slot)
                    self._placed[job].set_result(decision)
                case Remove(slot=slot, reason=reason):
                    self.counters[f"removed: {reason}"] += 1
                    worker = self._workers.pop(slot, None)
                    if worker is not None:
                        self._spawn(worker.remove())
                case Prewarm(slot=slot):
                    self._spawn(self._prewarm(self._worker(slot)))

    def _worker(self, slot: Slot) -> Worker:
        assert self._proxy is not None  # noqa: S101 - opened first
        if slot not in self._workers:
            self._workers[slot] = Worker(slot, self._config, self._driver, self._proxy)
        return self._workers[slot]

    async def _prewarm(self, worker: Worker) -> None:
        if await worker.start("prewarm") is None:
            self._apply(self.pool.prewarmed(worker.slot))
            return
        # OpenWhisk tries again in a tight loop; one that cannot start now is left out for good.
        self.pool.stems = tuple(s for s in self.pool.stems if s.image != worker.slot.image)
        self._retire(worker, "prewarmed container did not start")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            before = time.monotonic_ns() - self._config.idle_timeout_ms * NS_PER_MS
            self._apply(self.pool.expire(before))
            for slot, worker in list(self._workers.items()):
                if not slot.busy and worker.container is not None and worker.container.gone.is_set():
                    self._retire(worker, "container ended while idle")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        with contextlib.suppress(asyncio.CancelledError):
            error = task.exception()
            if error is not None:
                log.error("task failed", exc_info=error)

    def _image(self, action: Action) -> str:
        if action.exec.kind == "blackbox":
            return action.exec.image or ""
        kind = self._config.kinds.get(action.exec.kind)
        return kind.image if kind is not None else action.exec.kind


def _owner(action: Action) -> Owner:
    return Owner(action.namespace, action.name, action.revision)
