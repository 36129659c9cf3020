"""Figures of others that a kernel's costs are compared with (configs/anchors.toml)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from bench.errors import ConfigError
from bench.kernel.fit import Summary
from bench.paths import CONFIGS
from bench.tomlfile import Strict, convert, read

FILE = CONFIGS / "anchors.toml"


class Anchor(Strict):
    """One rival: figures by the names of `Summary`, and how large our share of them may be."""

    source: str
    checkpoint_ns: float = Field(gt=0)
    rewind_0_dirty_ns: float = Field(gt=0)
    rewind_1000_dirty_ns: float = Field(gt=0)
    limits: dict[str, float] = Field(default_factory=dict)


#: What a rival has and a measured kernel too.
FIGURES = tuple(name for name in Summary.__dataclass_fields__ if name in Anchor.model_fields)


class Anchors(Strict):
    """The whole file."""

    groundhog: Anchor


@dataclass(frozen=True)
class Compared:
    """One figure beside a rival's."""

    rival: str
    figure: str
    ours_ns: float
    theirs_ns: float
    #: None where only the ratio is of interest.
    limit: float | None

    @property
    def ratio(self) -> float:
        """Ours over theirs."""
        return self.ours_ns / self.theirs_ns

    @property
    def verdict(self) -> str:
        """`holds`, `fails`, or "" without a limit."""
        if self.limit is None:
            return ""
        return "holds" if self.ratio <= self.limit else "fails"

    def __str__(self) -> str:
        """One line for people."""
        limit = "" if self.limit is None else f", limit 1/{1 / self.limit:.0f}: {self.verdict}"
        ours, theirs = self.ours_ns / 1e3, self.theirs_ns / 1e3
        return f"{self.figure}: {ours:,.1f} µs, {self.rival} {theirs:,.0f} µs (1/{1 / self.ratio:.0f}{limit})"


def load(path: Path = FILE) -> Anchors:
    """Read and check the file; ConfigError names every fault."""
    problems: list[str] = []
    anchors = convert(read(path, problems), Anchors, str(path), problems)
    if anchors is not None:
        problems += [
            f"{path}: groundhog.limits.{name}: no such figure; known: {', '.join(FIGURES)}"
            for name in anchors.groundhog.limits
            if name not in FIGURES
        ]
    if problems or anchors is None:
        raise ConfigError(problems, hint=f"mend {path}")
    return anchors


def compare(summary: Summary, anchors: Anchors) -> Iterator[Compared]:
    """Every figure that was measured and that the rival has."""
    rival = anchors.groundhog
    for name in FIGURES:
        ours = getattr(summary, name)
        if ours is not None:
            yield Compared("groundhog", name, ours, getattr(rival, name), rival.limits.get(name))
