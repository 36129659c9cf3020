"""A slot's container as the invoker works with it: started, initialised, run, confirmed, paused."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

import msgspec

from bench.platforms.embedded import texts
from bench.platforms.embedded.config import Config
from bench.platforms.embedded.driver import Container, ContainerSpec, Driver, PullError, StartError
from bench.platforms.embedded.pool import Slot
from bench.platforms.embedded.proxy import LostError, ProxyClient, Readiness
from bench.platforms.embedded.records import (
    NS_PER_MS,
    Activation,
    Answer,
    Outcome,
    error_outcome,
    init_failure,
    run_outcome,
)

OK = 200
#: The proxy's answer when its launcher ended before the request.
LAUNCHER_GONE = 500
MS_PER_S = 1000
log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class UnservedError(Exception):
    """The container is lost and the request was not begun in it: it may run elsewhere."""


class Worker:
    """One container; used by one activation at a time."""

    def __init__(self, slot: Slot, config: Config, driver: Driver, proxy: ProxyClient) -> None:
        self.slot = slot
        self.container: Container | None = None
        #: Whether the proxy answers /ready; None: not asked yet.
        self.confirms: bool | None = None
        self.served = 0
        self._config = config
        self._driver = driver
        self._proxy = proxy
        self._initialised = False
        self._pausing: asyncio.Task[None] | None = None

    async def start(self, label: str) -> Outcome | None:
        """Start the container; an Outcome is why not."""
        spec = ContainerSpec(self.slot.number, self.slot.image, self.slot.memory_mb, label)
        try:
            self.container = await self._driver.start(spec)
        except PullError as error:
            log.error("%s", error)  # noqa: TRY400 - the text says it all
            return error_outcome("action developer error", texts.pull_failed(self.slot.image))
        except StartError as error:
            log.error("%s", error)  # noqa: TRY400
            return error_outcome("whisk internal error", texts.PROVISION_FAILED)
        return None

    async def serve(self, activation: Activation, args: msgspec.Raw) -> Outcome:
        """Initialise the container if it is not yet, and run; UnservedError when it was lost before."""
        assert self.container is not None  # noqa: S101 - started first
        if self._initialised and self.container.gone.is_set():
            raise UnservedError("container ended while idle")
        await self._resume()
        begin_ns = time.monotonic_ns()
        activation.start_ms = time.time_ns() // NS_PER_MS
        activation.wait_ns = begin_ns - activation.receipt_ns
        if not self._initialised:
            failed = await self._init(activation, self.container)
            run_begin_ns = time.monotonic_ns()
            activation.init_ns = run_begin_ns - begin_ns
            if failed is not None:
                return failed
            self._initialised = True
            begin_ns = run_begin_ns
        try:
            outcome = await self._run(activation, self.container, args)
        finally:
            activation.run_ns = time.monotonic_ns() - begin_ns
        self.served += 1
        return outcome

    async def confirm(self) -> Readiness:
        """Ask whether the container can take the next request."""
        assert self.container is not None  # noqa: S101 - it has served
        found = await self._proxy.ready(self.container, self._config.ready_timeout_ms / MS_PER_S)
        self.confirms = found.supported
        return found

    def idle(self) -> None:
        """Nothing to do: pause after the grace, if that is wanted."""
        if self._config.pause_grace_ms is not None and self.container is not None:
            self._pausing = asyncio.create_task(self._pause(self._config.pause_grace_ms, self.container))

    async def remove(self) -> None:
        """End the container."""
        if self._pausing is not None:
            self._pausing.cancel()
        if self.container is not None:
            await self._driver.remove(self.container)

    async def _pause(self, grace_ms: int, container: Container) -> None:
        await asyncio.sleep(grace_ms / MS_PER_S)
        await asyncio.shield(self._driver.pause(container))

    async def _resume(self) -> None:
        task, self._pausing = self._pausing, None
        if task is None or self.container is None:
            return
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await self._driver.resume(self.container)

    async def _init(self, activation: Activation, container: Container) -> Outcome | None:
        action = activation.action
        env = {f"__OW_{k.upper()}": v for k, v in self._context(activation).items()}
        value = {
            "name": action.name,
            "main": action.exec.main or "main",
            "code": action.exec.code,
            "binary": action.exec.binary,
            "env": env,
        }
        body = _encode({"value": value})
        try:
            answer = await self._proxy.init(container, body, action.timeout_ms / MS_PER_S)
        except TimeoutError:
            activation.timed_out = True
            return error_outcome("action developer error", texts.timed_out(action.timeout_ms, init=True))
        except LostError as error:
            said = "\n  ".join(container.log.tail)
            log.error("%s (%s) does not initialise: %s\n  %s", container.name, self.slot.image, error, said)  # noqa: TRY400
            return await self._lost(container, texts.ABNORMAL_INIT)
        return None if answer.status == OK else init_failure(answer)

    async def _run(self, activation: Activation, container: Container, args: msgspec.Raw) -> Outcome:
        action = activation.action
        body = _encode({"value": args, **self._context(activation)})
        try:
            answer = await self._proxy.run(container, body, action.timeout_ms / MS_PER_S)
        except TimeoutError:
            activation.timed_out = True
            return error_outcome("action developer error", texts.timed_out(action.timeout_ms, init=False))
        except LostError as error:
            if self._unserved(sent=error.sent):
                raise UnservedError(str(error)) from error
            return await self._lost(container, texts.ABNORMAL_RUN)
        if self._refused(answer):
            raise UnservedError("its launcher has ended")
        outcome = run_outcome(answer, self._config.limits.payload_bytes)
        if answer.status != OK and await self._driver.out_of_memory(container):
            return error_outcome("action developer error", texts.OUT_OF_MEMORY)
        return outcome

    def _unserved(self, *, sent: bool) -> bool:
        """Whether a lost request cannot have run, as far as can be told.

        Refused: never. Behind a proxy without /ready the request waits while the launcher
        restores itself, so its end in a used container is taken for a failed restore.
        """
        return self.served > 0 and (not sent or self.confirms is False)

    def _refused(self, answer: Answer) -> bool:
        """The proxy's word that the request did not reach the launcher (500), or cannot have run."""
        if answer.status == LAUNCHER_GONE:
            return self.served > 0
        exited = answer.status != OK and texts.LAUNCHER_EXITED.encode() in answer.body
        return exited and self._unserved(sent=True)

    async def _lost(self, container: Container, text: str) -> Outcome:
        if await self._driver.out_of_memory(container):
            text = texts.OUT_OF_MEMORY
        return error_outcome("action developer error", text)

    def _context(self, activation: Activation) -> dict[str, str]:
        """What /run carries beside the argument, and /init as environment."""
        action = activation.action
        return {
            "namespace": action.namespace,
            "action_name": f"/{action.namespace}/{action.name}",
            "action_version": action.version,
            "activation_id": activation.id,
            "transaction_id": activation.transaction,
            "deadline": str(time.time_ns() // NS_PER_MS + action.timeout_ms),
        }
