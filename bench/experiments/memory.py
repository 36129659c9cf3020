"""What does a warm container cost in memory?

Containers are added one by one, each serves some requests, and after each both the container (PSS,
private, RSS, control group) and what the whole testbed has available are read. The slope of the latter
over the number of containers is the only figure that also sees what the kernel holds for a
container, such as a snapshot.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from docker.errors import NotFound
from pydantic import Field

from bench import check
from bench.experiments.base import Bed, Cell, Experiment, Outcome, Settings, sweep
from bench.experiments.drive import activation_row, copies
from bench.platforms.embedded.docker_driver import LABEL_ACTION
from bench.plugins import Scheme, Workload
from bench.probes.memory import available_bytes, container_memory
from bench.store.rows import ActivationRow, MemoryRow

LEAVING_S = 10.0
POLL_S = 0.2


class Memory(Settings):
    """Containers per cell, and requests to each before it is read."""

    containers: int = Field(5, ge=2)
    requests: int = Field(3, ge=1)


def plan(
    settings: Memory, schemes: Sequence[Scheme], workloads: Sequence[Workload], pool_mb: int
) -> list[Cell]:
    """Every scheme that keeps warm containers × workload × repetition."""
    warm = [scheme for scheme in schemes if not scheme.spec.fresh_container]
    return sweep("memory", settings, warm, workloads, pool_mb)


def measure(cell: Cell, bed: Bed, settings: Memory) -> Outcome:
    """Add containers one by one and read after each."""
    assert cell.workload is not None  # noqa: S101  (the plan makes no mix cells)
    workload = cell.workload
    payload = workload.spec.sizes[bed.size]
    due = check.expected(workload, bed.size)
    samples: list[MemoryRow] = []
    activations: list[ActivationRow] = []
    with copies(bed, cell.scheme, workload, cell, settings.containers) as names:
        until_nothing_is_left(bed)
        # The first container of a cell also pays for what all share (image in the page cache).
        samples.append(MemoryRow(containers=0, available_bytes=available_bytes(bed.host)))
        for number, name in enumerate(names, start=1):
            served = [bed.client.invoke(name, payload) for _ in range(settings.requests)]
            for invocation in served:
                check.verify(invocation.result, due, f"{workload.name} under {cell.scheme.name}")
            records = [bed.client.activation(invocation.id) for invocation in served]
            activations += [activation_row(record, workload.name, warmup=True) for record in records]
            container = records[-1].container_id
            memory = container_memory(bed.host, container)
            samples.append(
                MemoryRow(
                    containers=number,
                    container_id=container,
                    requests=settings.requests,
                    pss_bytes=memory.pss_bytes,
                    private_bytes=memory.private_bytes,
                    rss_bytes=memory.rss_bytes,
                    cgroup_current_bytes=memory.group.current_bytes,
                    cgroup_peak_bytes=memory.group.peak_bytes,
                    cgroup_anon_bytes=memory.group.anon_bytes,
                    cgroup_file_bytes=memory.group.file_bytes,
                    cgroup_kernel_bytes=memory.group.kernel_bytes,
                )
            )
            samples.append(MemoryRow(containers=number, available_bytes=available_bytes(bed.host)))
    return Outcome(
        rows={"memory": samples, "activations": activations},
        requests=settings.containers * settings.requests,
    )


def until_nothing_is_left(bed: Bed) -> None:
    """Wait for the end of earlier cells' containers: what they still held would count as given back.

    They are removed after the answer to the action's deletion. Whoever else has some on the testbed
    makes this wait for its limit, and no more.
    """
    deadline = time.monotonic() + LEAVING_S * bed.slowdown
    while time.monotonic() < deadline:
        with contextlib.suppress(NotFound):  # gone between list and look
            if not bed.host.docker().containers.list(all=True, filters={"label": LABEL_ACTION}):
                return
        time.sleep(POLL_S)


EXPERIMENT = Experiment("memory", __doc__.splitlines()[0], Memory, plan, measure)
