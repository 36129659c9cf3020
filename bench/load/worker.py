"""The load generator: a process of its own in which locust's users send what the plan says.

    python -m bench.load.worker PLAN.json OUT_DIR PARENT_PID

Only a locust user ever sends a request; the plan decides when. Importing this module patches the
standard library for gevent, so nothing else imports it. It ends by itself when the parent does:
an orphan must not load a platform that the next run measures.
"""

from __future__ import annotations

import locust  # first: it patches the standard library  # noqa: F401  isort: skip

import gc
import os
import resource
import sys
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]
import msgspec
from locust.env import Environment

from bench.load.journal import Journal
from bench.load.plan import SUMMARY, LoadPlan, Summary
from bench.load.users import Load, dispatch, user_class_of

DESCRIPTION = "/api/v1"
DRAIN_EXTRA_S = 2.0
PARENT_CHECK_S = 0.5


def perform(plan: LoadPlan, out: Path) -> Summary:
    """Carry out the plan; every request is on disk when this returns."""
    load = Load(plan, Journal(out))
    counts = {"sent": 0, "failed": 0}

    def count(exception: BaseException | None = None, **_: Any) -> None:
        counts["sent"] += 1
        counts["failed"] += exception is not None

    user_class = user_class_of(load)
    environment = Environment(user_classes=[user_class])
    # The first request of a process pays for imports and a resolver thread: not a measured one.
    user_class(environment).client.get(DESCRIPTION)
    environment.events.request.add_listener(count)  # type: ignore[no-untyped-call]
    runner = environment.create_local_runner()
    runner.spawn_users({user_class.__name__: load.users})
    if load.users:
        load.idle.wait()
    gc.collect()
    gc.freeze()  # what start-up made is never walked again
    started_s = load.begin()
    wait_s = plan.request_timeout_s + DRAIN_EXTRA_S
    if plan.clients:
        wait_s += plan.max_duration_s
    else:
        dispatch(load)
    if load.users:
        load.idle.wait(wait_s)
    load.abandon()
    return Summary(counts["sent"], counts["failed"], started_s, load.last_end_ns / 1e9)


def _realtime() -> bool:
    """Take real-time scheduling where it is allowed; returns whether it is.

    The generator mostly sleeps, and must wake in time on a machine whose CPUs are busy with what is
    measured: 1.2 instead of 9 ms late (p99) beside eleven runnable processes on two CPUs.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    return True


def _allow_many_connections() -> None:
    """One descriptor per request in flight: as many as the hard limit allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        gevent.sleep(PARENT_CHECK_S)
    os._exit(1)


def main(argv: list[str]) -> None:
    """Read the plan, carry it out, write the summary last."""
    plan_file, out, parent = Path(argv[0]), Path(argv[1]), int(argv[2])
    gevent.spawn(_end_with, parent)
    realtime = _realtime()
    _allow_many_connections()
    plan = msgspec.json.decode(plan_file.read_bytes(), type=LoadPlan)
    summary = msgspec.structs.replace(perform(plan, out), realtime=realtime)
    unfinished = out / f"{SUMMARY}.part"
    unfinished.write_bytes(msgspec.json.encode(summary))
    unfinished.rename(out / SUMMARY)
    os._exit(0)  # users still waiting for a reply are not waited for


if __name__ == "__main__":
    main(sys.argv[1:])
