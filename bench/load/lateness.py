"""How late the load generator itself is: its lateness against a stub that answers at once."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from bench import process
from bench.errors import LoadError
from bench.load.driver import Progress, run_load
from bench.load.plan import ActionCalls, LoadPlan
from bench.load.schedule import poisson, repeat
from bench.paths import ROOT

NS_PER_MS = 1e6
STUB_AUTH = "user:password"


@dataclass(frozen=True)
class Lateness:
    """Distribution of (actual - intended) start over `sent` requests at `rate_per_s`."""

    rate_per_s: float
    sent: int
    late: int  # over 5 ms
    dropped: int
    failed: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    realtime: bool  # measured under real-time scheduling


def measure_lateness(
    out: Path,
    *,
    rate_per_s: float = 200.0,
    requests: int = 2000,
    seed: int = 1,
    on_progress: Progress | None = None,
) -> Lateness:
    """Drive a stub on this machine with Poisson arrivals; raw files go to `out`.

    Raises LoadError when generator or stub do not work.
    """
    with stub() as url:
        plan = LoadPlan(
            url=url,
            auth=STUB_AUTH,
            actions={"echo": ActionCalls("echo", ({"n": 1},), (None,))},
            arrivals=poisson(repeat("echo", requests), rate_per_s, seed),
            request_timeout_s=10.0,
        )
        result = run_load(plan, out, on_progress=on_progress)
    sent = result.table.filter(pc.is_valid(result.table["actual_ns"]))
    if not sent.num_rows:
        raise LoadError("the load generator sent nothing", hint=f"see the log in {out}")
    late_ms = np.asarray(pc.subtract(sent["actual_ns"], sent["intended_ns"])) / NS_PER_MS
    p50, p99 = np.percentile(late_ms, [50, 99])
    return Lateness(
        rate_per_s=rate_per_s,
        sent=sent.num_rows,
        late=result.late,
        dropped=result.dropped,
        failed=result.failed,
        p50_ms=float(p50),
        p99_ms=float(p99),
        max_ms=float(late_ms.max()),
        realtime=result.realtime,
    )


@contextlib.contextmanager
def stub(auth: str = STUB_AUTH) -> Iterator[str]:
    """The stub as a process of its own; yields its URL."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with process.running([sys.executable, "-m", "bench.load.stub", auth], env=env) as server:
        assert server.stdout is not None  # noqa: S101  no log was asked for
        port = server.stdout.readline().strip()
        if not port.isdigit():
            words = server.stderr.read().decode(errors="replace") if server.stderr else ""
            raise LoadError(f"the stub server did not start: {words}", hint="is 127.0.0.1 usable?")
        yield f"http://127.0.0.1:{int(port)}"
