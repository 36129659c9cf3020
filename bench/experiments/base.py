"""What an experiment is: settings, a plan of cells, and how one cell is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field

from bench.plugins import Scheme, Workload
from bench.store.keys import CellKey
from bench.store.rows import Row
from bench.tomlfile import Strict

if TYPE_CHECKING:
    from bench.hosts.base import Host
    from bench.platforms.base import Endpoint
    from bench.platforms.client import Client


class Settings(Strict):
    """What every experiment's table in a profile may hold; experiments add their own keys."""

    #: Only these schemes and workloads; empty: all of the profile.
    schemes: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    repetitions: int = Field(1, ge=1)
    #: Scheme name -> other values for it, e.g. fewer requests where each takes seconds.
    scheme: dict[str, dict[str, Any]] = Field(default_factory=dict)

    def takes(self, scheme: Scheme) -> bool:
        """Whether the scheme takes part; one that must be named only where it is."""
        return scheme.name in self.schemes if self.schemes else not scheme.spec.named_only

    def of(self, scheme: str) -> Self:
        """The settings as they are for this scheme."""
        own = self.scheme.get(scheme)
        if not own:
            return self
        return type(self).model_validate({**self.model_dump(), **own, "scheme": {}})


@dataclass(frozen=True)
class Cell:
    """One measurement: scheme × workload × parameters × repetition of one experiment."""

    experiment: str
    scheme: Scheme
    #: None: the paper's request mix over all workloads of the profile.
    workload: Workload | None
    params: Mapping[str, int | float | str]
    repetition: int
    #: Pool size that the platform must run with.
    pool_mb: int

    @property
    def workload_name(self) -> str:
        """The workload's name, or "mix"."""
        return self.workload.name if self.workload is not None else "mix"

    @property
    def key(self) -> CellKey:
        """What names the cell in the run's folder."""
        return CellKey.of(self.experiment, self.scheme.name, self.workload_name, self.params, self.repetition)

    @property
    def label(self) -> str:
        """For progress lines and action names."""
        shown = "".join(f" {k}={v}" for k, v in sorted(self.params.items()))
        return f"{self.experiment} {self.scheme.name} {self.workload_name}{shown} #{self.repetition}"


@dataclass(frozen=True)
class Bed:
    """A testbed with the platform running, as an experiment sees it."""

    host: Host
    client: Client
    endpoint: Endpoint
    #: CPUs of the testbed.
    cpus: int
    #: Runtime name -> image on the testbed.
    images: Mapping[str, str]
    workloads: Sequence[Workload]
    size: str
    seed: int
    #: Multiplies time limits: software emulation is this much slower than native.
    slowdown: float
    scratch: Path
    say: Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What a cell yields: raw rows by table name, and counts."""

    rows: Mapping[str, Sequence[Row]]
    requests: int = 0
    late: int = 0
    dropped: int = 0
    wrong: int = 0
    platform_cpu_share: float | None = None
    #: What went wrong, when the cell must count as failed although it has data.
    problems: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class Experiment:
    """An experiment module's one export."""

    name: str
    question: str
    settings: type[Settings]
    plan: Callable[[Any, Sequence[Scheme], Sequence[Workload], int], list[Cell]]
    measure: Callable[[Cell, Bed, Any], Outcome]


def sweep(
    experiment: str,
    settings: Settings,
    schemes: Sequence[Scheme],
    workloads: Sequence[Workload],
    pool_mb: int,
) -> list[Cell]:
    """The usual plan: every scheme × workload × repetition, in one pool size."""
    return [
        Cell(experiment, scheme, workload, {}, repetition, pool_mb)
        for scheme in schemes
        if settings.takes(scheme)
        for workload in workloads
        if not settings.workloads or workload.name in settings.workloads
        for repetition in range(settings.of(scheme.name).repetitions)
    ]
