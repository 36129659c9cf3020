"""configs/regress.toml: what counts as a regression, and which self-tests a comparison runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import Field

from bench.errors import ConfigError
from bench.kernel.fit import Summary
from bench.paths import CONFIGS
from bench.tomlfile import Strict, convert, read

FILE = CONFIGS / "regress.toml"
File = TypeVar("File", bound=Strict)


class Limit(Strict):
    """Worse by more than both is a regression."""

    relative: float = Field(ge=0)
    absolute: float = Field(ge=0)

    def exceeded(self, old: float, new: float) -> bool:
        """True when `new` is worse than `old` (larger) by more than the limit."""
        growth = new - old
        return growth > self.absolute and growth > self.relative * abs(old)


class Thresholds(Strict):
    """The whole file."""

    default: Limit
    figures: dict[str, Limit] = Field(default_factory=dict)
    #: Programs of kernel/selftests, each with its arguments.
    selftests: tuple[str, ...] = ()

    def limit(self, figure: str) -> Limit:
        """The limit of a figure."""
        return self.figures.get(figure, self.default)


def load(path: Path = FILE) -> Thresholds:
    """Read and check the file; ConfigError names every fault."""
    return load_figures(path, Thresholds, "figures")


def load_figures(path: Path, kind: type[File], table: str) -> File:
    """The same of any file whose `table` goes by the names of figures."""
    problems: list[str] = []
    found = convert(read(path, problems), kind, str(path), problems)
    if found is not None:
        problems += _unknown_figures(getattr(found, table), f"{path}: {table}")
    if problems or found is None:
        raise ConfigError(problems, hint=f"mend {path}")
    return found


def _unknown_figures(names: Iterable[str], where: str) -> list[str]:
    """A line for each name that is no figure of `Summary`."""
    known = Summary.__dataclass_fields__
    return [
        f"{where}.{name}: no such figure; known: {', '.join(known)}" for name in names if name not in known
    ]
