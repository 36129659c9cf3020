"""Schemes and workloads are folders; this finds them and reads their TOML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from bench.errors import ConfigError
from bench.paths import RUNTIMES, WORKLOADS
from bench.tomlfile import Strict, convert, read

Spec = TypeVar("Spec", bound=Strict)


class SchemeSpec(Strict):
    """runtimes/NAME/scheme.toml."""

    #: One line for tables and the report.
    summary: str
    #: The scheme whose image and launcher this one uses ("" means its own folder).
    runtime: str = ""
    #: True: the platform must never reuse a container (isolation by new containers).
    fresh_container: bool = False
    #: True: isolates one request from the next (False for the insecure reference).
    isolates: bool = True
    #: What an isolating scheme openly does not undo: names of the audit's families and channels.
    leaves: tuple[str, ...] = ()
    #: True: needs our patched kernel on the testbed.
    needs_kernel: bool = False
    #: RUNTIME/FOLDER with a __main__.py that is run as root on the testbed, see bench/platforms/services.py;
    #: containers find its socket's folder as /run/rewind-bench.
    service: str = ""
    #: name -> C file or folder of them below runtimes/: static programs beside launcher.py in the image.
    programs: dict[str, str] = Field(default_factory=dict)
    #: True: takes part only where a profile names it (an ablation, a scheme that measures itself).
    named_only: bool = False
    #: Order in figures and tables.
    order: int = 100


class WorkloadSpec(Strict):
    """workloads/NAME/workload.toml."""

    summary: str
    #: Where the function comes from, e.g. "FunctionBench".
    origin: str
    #: PyPI requirements of the function (pinned), part of the base image.
    packages: tuple[str, ...] = ()
    #: Memory limit of the action in MB.
    memory_mb: int = 256
    #: Time limit of the action on native hardware.
    timeout_ms: int = 60000
    #: size name ("tiny", "small", "paper") -> parameters sent with every request.
    sizes: dict[str, dict[str, Any]]
    #: Relative tolerance of the result check for floating-point numbers.
    rel_tolerance: float = 0.0
    #: Share of the paper's request mix (0: not part of it).
    mix_weight: int = 0
    order: int = 100


@dataclass(frozen=True)
class Scheme:
    """A scheme with the folder it came from."""

    name: str
    folder: Path
    spec: SchemeSpec

    @property
    def runtime(self) -> str:
        """The folder under runtimes/ whose image this scheme runs in."""
        return self.spec.runtime or self.name


@dataclass(frozen=True)
class Workload:
    """A workload with the folder it came from."""

    name: str
    folder: Path
    spec: WorkloadSpec

    @property
    def main(self) -> Path:
        """The action's source."""
        return self.folder / "main.py"


def schemes(root: Path = RUNTIMES) -> dict[str, Scheme]:
    """All schemes by name, in figure order; ConfigError lists every faulty file."""
    found = _read_all(root, "scheme.toml", SchemeSpec)
    made = [Scheme(folder.name, folder, spec) for folder, spec in found]
    return {s.name: s for s in sorted(made, key=lambda s: (s.spec.order, s.name))}


def workloads(root: Path = WORKLOADS) -> dict[str, Workload]:
    """All workloads by name, in figure order; ConfigError lists every faulty file."""
    found = _read_all(root, "workload.toml", WorkloadSpec)
    made = [Workload(folder.name, folder, spec) for folder, spec in found]
    problems = [
        f"{w.folder}: main.py is missing or has no function 'main'"
        for w in made
        if not w.main.is_file() or "def main(" not in w.main.read_text()
    ]
    if problems:
        raise ConfigError(problems, hint="a workload folder holds workload.toml and main.py with main(args)")
    return {w.name: w for w in sorted(made, key=lambda w: (w.spec.order, w.name))}


def _read_all(root: Path, file: str, kind: type[Spec]) -> Sequence[tuple[Path, Spec]]:
    found: list[tuple[Path, Spec]] = []
    problems: list[str] = []
    for path in sorted(root.glob(f"*/{file}")):
        spec = convert(read(path, problems), kind, str(path), problems)
        if spec is not None:
            found.append((path.parent, spec))
    if problems:
        raise ConfigError(problems, hint="mend the named keys")
    return found
