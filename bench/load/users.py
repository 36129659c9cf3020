"""What a load's users share, and the users: locust's, told by the plan when to send.

Imported by the worker alone: locust patches the standard library for gevent.
"""

from __future__ import annotations

import base64
import time
from typing import Any

import gevent  # type: ignore[import-untyped]
import gevent.event  # type: ignore[import-untyped]
import gevent.queue  # type: ignore[import-untyped]
import msgspec
from geventhttpclient.client import HTTPClientPool
from locust import FastHttpUser, task

from bench.load.journal import Journal
from bench.load.plan import LoadPlan, Record
from bench.load.reply import error_of
from bench.load.schedule import Arrival

INVOKE = "/api/v1/namespaces/_/actions/{}?blocking=true&result=true"
ACTIVATION_HEADER = "x-openwhisk-activation-id"
#: From the last spawned user to the first arrival, so that the first one is not late.
LEAD_NS = 50_000_000


class Load:
    """The plan being carried out: what all users of this process share."""

    def __init__(self, plan: LoadPlan, journal: Journal) -> None:
        self.plan = plan
        self.journal = journal
        self.users = plan.clients or min(plan.users, len(plan.arrivals))
        self.order = enumerate(plan.arrivals)  # closed loop: every client takes its next one here
        self.jobs: Any = gevent.queue.Queue()  # open loop: (index, arrival) for a free user
        self.busy = self.users  # until it is ready, a user is busy
        self.idle = gevent.event.Event()  # no user is busy
        self.begun = gevent.event.Event()
        self.in_flight: dict[int, Record] = {}
        self.last_end_ns = 0
        self._origin_ns = 0
        self._targets = {name: INVOKE.format(calls.name) for name, calls in plan.actions.items()}
        self._payloads = {
            name: [msgspec.json.encode(params).decode() for params in calls.params]
            for name, calls in plan.actions.items()
        }
        token = base64.b64encode(plan.auth.encode()).decode()
        self._headers = {
            "Authorization": f"Basic {token}",
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",  # no compression in what is measured
        }

    def begin(self) -> float:
        """Start the clock and release the users; returns the Unix time of the start."""
        self._origin_ns = time.monotonic_ns() + LEAD_NS
        started_s = time.time() + LEAD_NS / 1e9
        gevent.sleep(LEAD_NS / 1e9)
        self.become(busy=self.plan.clients)
        self.begun.set()
        return started_s

    def become(self, *, busy: int) -> None:
        """Add to the number of busy users; each client of a closed loop is busy to its end."""
        self.busy += busy
        if self.busy:
            self.idle.clear()
        else:
            self.idle.set()

    def now_ns(self) -> int:
        """Nanoseconds since the load began."""
        return time.monotonic_ns() - self._origin_ns

    def past_end(self, at_ns: int) -> bool:
        """Whether nothing may be sent any more."""
        return at_ns > self.plan.max_duration_s * 1e9

    def send(self, user: FastHttpUser, index: int, arrival: Arrival, intended_ns: int) -> None:
        """Send one request as `user` and write down what came of it."""
        begun = Record(index, intended_ns, self.now_ns())
        self.in_flight[index] = begun
        try:
            done, content = self._exchange(user, arrival, begun)
        except Exception as error:  # noqa: BLE001  whatever a server may provoke is a failed request
            done, content = self._failed(begun, error), b""
        if not done.error:
            done = msgspec.structs.replace(done, body=self.journal.keep(content))
        self.journal.record(done)
        self.last_end_ns = max(self.last_end_ns, done.end_ns or 0)
        del self.in_flight[index]

    def drop(self, index: int, why: str) -> None:
        """Write down a request that is never sent."""
        self.journal.record(Record(index, self.plan.arrivals[index].intended_ns, error=f"dropped: {why}"))

    def abandon(self) -> None:
        """Write down the requests that still wait for a reply."""
        for begun in self.in_flight.values():
            self.journal.record(msgspec.structs.replace(begun, error="no reply when the load ended"))

    def _exchange(self, user: FastHttpUser, arrival: Arrival, begun: Record) -> tuple[Record, bytes]:
        response: Any = user.client.post(
            self._targets[arrival.action],
            data=self._payloads[arrival.action][arrival.params],
            headers=self._headers,
            name=arrival.action,
        )
        end_ns = self.now_ns()
        if not response.status_code:
            return self._failed(begun, response.error, end_ns), b""
        content: bytes = response.content or b""
        done = msgspec.structs.replace(
            begun,
            end_ns=end_ns,
            status=response.status_code,
            error=error_of(response.status_code, content),
            activation_id=str(response.headers.get(ACTIVATION_HEADER) or ""),
        )
        return done, content

    def _failed(self, begun: Record, error: BaseException | None, end_ns: int | None = None) -> Record:
        words = f"{type(error).__name__}: {error}".removesuffix(": ")
        return msgspec.structs.replace(begun, end_ns=end_ns or self.now_ns(), error=words)


class Invoker(FastHttpUser):
    """The platform's client: all requests of one user, one after the other, until it is killed."""

    abstract = True
    load: Load

    @task
    def serve(self) -> None:
        """Be ready, wait for the start, then send."""
        load = self.load
        load.become(busy=-1)
        load.begun.wait()
        if load.plan.clients:
            self._take_in_order(load)
            load.become(busy=-1)
        while True:
            index, arrival = load.jobs.get()
            load.send(self, index, arrival, arrival.intended_ns)
            load.become(busy=-1)

    def _take_in_order(self, load: Load) -> None:
        for index, arrival in load.order:
            ready_ns = load.now_ns()
            if load.past_end(ready_ns):
                return
            load.send(self, index, arrival, ready_ns)
            if load.plan.think_s:
                gevent.sleep(load.plan.think_s)


def dispatch(load: Load) -> None:
    """Open loop: hand each arrival to a free user at its time."""
    for index, arrival in load.order:
        if load.past_end(arrival.intended_ns):
            load.drop(index, "due after the load's time limit")
            continue
        wait_ns = arrival.intended_ns - load.now_ns()
        if wait_ns > 0:
            gevent.sleep(wait_ns / 1e9)
        if load.busy < load.users:
            load.become(busy=+1)
            load.jobs.put((index, arrival))
        else:
            load.drop(index, f"all {load.users} users were waiting for replies")


def user_class_of(load: Load) -> type[Invoker]:
    """The users of this load; they share their kept-alive connections."""
    timeout_s = load.plan.request_timeout_s
    pool = HTTPClientPool(
        concurrency=max(1, load.users), network_timeout=timeout_s, connection_timeout=timeout_s
    )
    settings = {"load": load, "abstract": False, "host": load.plan.url, "client_pool": pool}
    return type("LoadUser", (Invoker,), settings)
