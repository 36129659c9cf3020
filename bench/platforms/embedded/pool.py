"""Which container runs which activation: a pure state machine, no clock, no input or output.

Every method takes an event and returns what is to be done about it. A slot is a container
with its memory:

    STARTING ─► PREWARMED ─► BUSY ─► SETTLING ─► IDLE ─► BUSY …      any of them ─► removed

SETTLING is the time between the reply and the container's word that it can take the next
request. A job may be *bound* to a settling slot, as it would wait inside the container
with the original platform, but is let in only after that word.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

StartKind = Literal["warm", "prewarmed", "cold"]


class Phase(enum.Enum):
    """Where a slot is in its life."""

    STARTING = "starting"
    PREWARMED = "prewarmed"
    BUSY = "busy"
    SETTLING = "settling"
    IDLE = "idle"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a warm container is; another revision of the action is another owner."""

    namespace: str
    action: str
    revision: int


@dataclass(slots=True, eq=False)
class Job:
    """An activation that wants a container."""

    owner: Owner
    image: str
    memory_mb: int
    #: True: a container of its own, never used before or after.
    fresh: bool = False
    #: Times it lost its container before it could run.
    resent: int = 0


@dataclass(slots=True, eq=False)
class Slot:
    """A container, to be or in being."""

    number: int
    image: str
    memory_mb: int
    owner: Owner | None = None
    phase: Phase = Phase.STARTING
    idle_since_ns: int = 0
    bound: Job | None = None
    doomed: bool = False

    @property
    def busy(self) -> bool:
        """Whether an activation or a start goes on in it."""
        return self.phase in (Phase.STARTING, Phase.BUSY, Phase.SETTLING)


@dataclass(frozen=True, slots=True)
class Run:
    """Run the job in the slot; with "cold" the container is to be started first."""

    job: Job
    slot: Slot
    start: StartKind


@dataclass(frozen=True, slots=True)
class Remove:
    """Take the container away; its memory is free already."""

    slot: Slot
    reason: str


@dataclass(frozen=True, slots=True)
class Prewarm:
    """Start a container for nobody yet."""

    slot: Slot


Decision = Run | Remove | Prewarm


@dataclass(frozen=True, slots=True)
class Stem:
    """How many prewarmed containers of an image and size to keep."""

    image: str
    memory_mb: int
    count: int


@dataclass(slots=True)
class Pool:
    """The containers of one platform within `user_memory_mb`."""

    user_memory_mb: int
    stems: tuple[Stem, ...] = ()
    slots: list[Slot] = field(default_factory=list)
    queue: deque[Job] = field(default_factory=deque)
    _made: int = 0

    def open(self) -> list[Decision]:
        """At the start: the prewarmed containers."""
        return self._prewarm()

    def submit(self, job: Job) -> list[Decision]:
        """A new job; behind all that wait already, even if it alone would fit."""
        self.queue.append(job)
        return self._drain()

    def requeue(self, job: Job) -> list[Decision]:
        """A job that lost its container goes to the head of the queue."""
        job.resent += 1
        self.queue.appendleft(job)
        return self._drain()

    def cancel(self, job: Job) -> list[Decision]:
        """Nobody waits for this job any more."""
        if job in self.queue:
            self.queue.remove(job)
        for slot in self.slots:
            if slot.bound is job:
                slot.bound = None
        return self._drain()

    def prewarmed(self, slot: Slot) -> list[Decision]:
        """A container for nobody is up."""
        slot.phase = Phase.PREWARMED
        return self._drain()

    def settle(self, slot: Slot) -> list[Decision]:
        """The reply was given; whether the container can go on is not known yet."""
        slot.phase = Phase.SETTLING
        return self._drain()

    def release(self, slot: Slot, now_ns: int) -> list[Decision]:
        """The container can take the next request."""
        if slot.doomed:
            return self.remove(slot, "action was changed or deleted")
        if slot.bound is not None:
            job, slot.bound = slot.bound, None
            slot.phase = Phase.BUSY
            return [Run(job, slot, "warm")]
        slot.phase = Phase.IDLE
        slot.idle_since_ns = now_ns
        return self._drain()

    def remove(self, slot: Slot, reason: str) -> list[Decision]:
        """The container is lost or unfit; a job bound to it goes elsewhere."""
        if slot.phase is Phase.REMOVED:
            return []
        done: list[Decision] = [self._drop(slot, reason)]
        if slot.bound is not None:
            job, slot.bound = slot.bound, None
            done += self.requeue(job)
        return done + self._drain() + self._prewarm()

    def forget(self, matches: Callable[[Owner], bool]) -> list[Decision]:
        """An action was changed or deleted: its idle containers go, the others after their work."""
        done: list[Decision] = []
        for slot in [s for s in self.slots if s.owner is not None and matches(s.owner)]:
            if slot.phase is Phase.IDLE:
                done.append(self._drop(slot, "action was changed or deleted"))
            else:
                slot.doomed = True
        return done + self._drain() + self._prewarm()

    def expire(self, before_ns: int) -> list[Decision]:
        """Containers that have been idle since before that time go."""
        old = [s for s in self.slots if s.phase is Phase.IDLE and s.idle_since_ns < before_ns]
        done: list[Decision] = [self._drop(slot, "idle for too long") for slot in old]
        return done + self._prewarm()

    def close(self) -> list[Decision]:
        """All containers go; nothing more is started."""
        self.queue.clear()
        self.stems = ()
        return [self._drop(slot, "platform ends") for slot in list(self.slots)]

    @property
    def used_mb(self) -> int:
        """Memory of all containers, prewarmed ones included."""
        return sum(slot.memory_mb for slot in self.slots)

    def counts(self) -> dict[str, int]:
        """The pool's state as it goes into activation records."""
        found = {phase.value: 0 for phase in Phase if phase is not Phase.REMOVED}
        for slot in self.slots:
            found[slot.phase.value] += 1
        return {**found, "queued": len(self.queue), "usedMb": self.used_mb}

    def _drain(self) -> list[Decision]:
        """Serve the queue from its head; a head that cannot be served holds up the rest."""
        done: list[Decision] = []
        while self.queue:
            found = self._place(self.queue[0])
            if found is None:
                break
            self.queue.popleft()
            done += found
        return done

    def _place(self, job: Job) -> list[Decision] | None:
        """First fit: warm, settling, prewarmed, new, new after eviction; None: must wait."""
        if not job.fresh:
            warm = [s for s in self._of(Phase.IDLE) if s.owner == job.owner]
            if warm:
                return [self._take(max(warm, key=lambda s: s.idle_since_ns), job, "warm")]
            for slot in self._of(Phase.SETTLING):
                # One that has lost a container waits for another's word: it is sent again only once.
                if slot.owner == job.owner and not (slot.bound or slot.doomed or job.resent):
                    slot.bound = job
                    return []
        for slot in self._of(Phase.PREWARMED):
            if slot.image == job.image and slot.memory_mb == job.memory_mb:
                return [self._take(slot, job, "prewarmed"), *self._prewarm()]
        evicted = self._make_room(job.memory_mb)
        if evicted is None:
            return None
        slot = self._new(job.image, job.memory_mb)
        return [*evicted, self._take(slot, job, "cold")]

    def _make_room(self, memory_mb: int) -> list[Decision] | None:
        """Evict idle containers, least recently used first, only if that is enough."""
        missing = memory_mb - (self.user_memory_mb - self.used_mb)
        victims: list[Slot] = []
        for slot in sorted(self._of(Phase.IDLE), key=lambda s: s.idle_since_ns):
            if missing <= 0:
                break
            victims.append(slot)
            missing -= slot.memory_mb
        return None if missing > 0 else [self._drop(slot, "evicted") for slot in victims]

    def _prewarm(self) -> list[Decision]:
        """Fill up the prewarmed containers as far as the memory goes."""
        done: list[Decision] = []
        for stem in self.stems:
            have = sum(
                s.owner is None and s.image == stem.image and s.memory_mb == stem.memory_mb
                for s in self.slots
            )
            for _ in range(have, stem.count):
                if self.used_mb + stem.memory_mb > self.user_memory_mb:
                    break
                done.append(Prewarm(self._new(stem.image, stem.memory_mb)))
        return done

    def _of(self, phase: Phase) -> list[Slot]:
        return [slot for slot in self.slots if slot.phase is phase]

    def _new(self, image: str, memory_mb: int) -> Slot:
        self._made += 1
        slot = Slot(self._made, image, memory_mb)
        self.slots.append(slot)
        return slot

    def _take(self, slot: Slot, job: Job, start: StartKind) -> Run:
        slot.owner = job.owner
        slot.phase = Phase.BUSY
        return Run(job, slot, start)

    def _drop(self, slot: Slot, reason: str) -> Remove:
        slot.phase = Phase.REMOVED
        self.slots.remove(slot)
        return Remove(slot, reason)
