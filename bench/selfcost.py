"""What the harness itself costs: how late the load generator is, what platform and Docker add.

Each figure stands beside what it is to be compared with in the same run; nothing here is a test,
because times on a shared machine say more about the machine.
"""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import time
from collections.abc import Callable

import msgspec

from bench import config, packaging, provision
from bench.build.proxy import BINARY_NAME, proxy_step
from bench.build.step import ensure
from bench.hosts.leftovers import short_folder
from bench.hosts.local import LocalHost
from bench.load.lateness import measure_lateness
from bench.platforms import overhead
from bench.platforms.client import Client
from bench.platforms.deploy import deploy
from bench.progress import Progress

NS_PER_MS = 1e6
CALLS = 1000
WARMUP = 100
LABEL = "self-cost"


class Figure(msgspec.Struct, frozen=True):
    """One measured figure and, where there is one, the bound that it is held against."""

    name: str
    value: float
    unit: str
    n: int
    #: "" or what it must not exceed, e.g. "<= 5 ms".
    target: str = ""


class Report(msgspec.Struct, frozen=True):
    """All figures of one run, with the machine they were taken on."""

    cpu_count: int
    kernel: str
    python: str
    load_average: float
    figures: list[Figure]


def measure(progress: Progress, *, docker: bool) -> Report:
    """Take all figures; those through Docker only when asked for."""
    parts: list[tuple[str, Callable[[], list[Figure]]]] = [
        ("load generator", load_generator),
        ("platform and proxy as plain processes", platform_alone),
    ]
    if docker:
        parts.append(("platform through Docker", lambda: through_docker(progress)))
    before = os.getloadavg()[0]
    figures: list[Figure] = []
    for name, take in parts:
        with progress.stage(name):
            figures += take()
    return Report(os.cpu_count() or 1, platform.release(), platform.python_version(), before, figures)


def load_generator() -> list[Figure]:
    """How late requests start at 200 a second against a stub that answers at once."""
    with short_folder() as folder:
        seen = measure_lateness(folder, rate_per_s=200.0, requests=2000)
    return [
        Figure("load: start after the intended time, median", seen.p50_ms, "ms", seen.sent),
        Figure("load: start after the intended time, p99", seen.p99_ms, "ms", seen.sent, "<= 5 ms"),
        Figure("load: late by over 5 ms", float(seen.late), "requests", seen.sent),
    ]


def platform_alone() -> list[Figure]:
    """An echo through platform and proxy, beside the proxy alone; no container runtime."""
    proxy = ensure(proxy_step()).file(BINARY_NAME)
    seen = overhead.measure(proxy, calls=CALLS, warmup=WARMUP)
    n = seen.through.n
    return [
        Figure("echo by the proxy alone, median", seen.direct.median_ns / NS_PER_MS, "ms", seen.direct.n),
        Figure(
            "echo through platform and proxy, median", seen.through.median_ns / NS_PER_MS, "ms", n, "<= 5 ms"
        ),
        Figure("echo through platform and proxy, p99", seen.through.p99_ns / NS_PER_MS, "ms", n),
        Figure("platform's own CPU time per call", seen.cpu_ns_per_call / NS_PER_MS, "ms", n),
    ]


def through_docker(progress: Progress) -> list[Figure]:
    """The workload hello in a warm container of this machine's Docker, one sequential client."""
    resolved = config.load(
        "smoke", {"testbed.kind": "local", "schemes": ["baseline"], "workloads": ["hello"]}
    )
    products = provision.build_products(resolved, progress)
    workload = resolved.workloads[0]
    with contextlib.closing(LocalHost()) as host:
        provision.load_images(host, products.images, progress)
        settings = provision.platform_settings(resolved, 1024, os.cpu_count() or 1)
        with deploy(host, settings, None, LABEL) as deployed, deployed.endpoint.client() as client:
            code = packaging.action_code(workload).code
            client.put_action("hello", code=code, image=products.images.reference("baseline"), memory_mb=128)
            times = _calls(client, workload.spec.sizes["tiny"])
            containers = {record.container_id for record in client.activations(limit=200)}
    return [
        Figure("warm call through Docker, median", statistics.median(times), "ms", len(times), "<= 6 ms"),
        Figure("warm call through Docker, p99", _p99(times), "ms", len(times)),
        Figure(
            "containers of one sequential client", float(len(containers)), "containers", len(times), "<= 1"
        ),
    ]


def _calls(client: Client, params: dict[str, object]) -> list[float]:
    times = []
    for _ in range(WARMUP + CALLS):
        began = time.perf_counter_ns()
        client.invoke("hello", params)
        times.append((time.perf_counter_ns() - began) / NS_PER_MS)
    return times[WARMUP:]


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]
