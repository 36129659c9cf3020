"""The audit's channels as the harness sees them, and how they are selected."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bench.audit.probe import serve
from bench.plugins import Scheme

ALL, CORE = "all", "core"


@dataclass(frozen=True)
class ChannelInfo:
    """What the harness knows of a channel; see bench.audit.probe.base.Channel."""

    name: str
    family: str
    summary: str
    alone: bool
    carries: bool
    in_request: bool
    core: bool
    #: Launcher user -> errno with which planting may be refused without isolation.
    refused: dict[str, str]


@functools.cache
def channels() -> dict[str, ChannelInfo]:
    """All channels by name, by family."""
    found = serve.load(serve.families())
    made = [
        ChannelInfo(
            name=name,
            family=kind.family,
            summary=(kind.__doc__ or "").splitlines()[0],
            alone=kind.alone,
            carries=kind.carries,
            in_request=kind.in_request,
            core=kind.core,
            refused=kind.refused,
        )
        for name, kind in found.items()
    ]
    return {info.name: info for info in sorted(made, key=lambda info: info.family)}


def families() -> list[str]:
    """Names of all families."""
    return list(dict.fromkeys(info.family for info in channels().values()))


def unknown(names: Collection[str]) -> list[str]:
    """Those that name neither a channel, nor a family, nor a selection."""
    return sorted(set(names) - {ALL, CORE} - set(channels()) - set(families()))


def select(names: Collection[str]) -> list[ChannelInfo]:
    """Channels by their own names, by family, or by "core" and "all"."""
    return [
        info
        for info in channels().values()
        if ALL in names or info.name in names or info.family in names or (info.core and CORE in names)
    ]


def claim(scheme: Scheme, info: ChannelInfo) -> str:
    """What the scheme says of a channel: "isolated", "left" (openly not), "none" (it isolates nothing)."""
    if not scheme.spec.isolates:
        return "none"
    return "left" if {info.name, info.family} & set(scheme.spec.leaves) else "isolated"


def groups(chosen: Sequence[ChannelInfo]) -> list[list[ChannelInfo]]:
    """Channels that may share a container; those that harm others are alone."""
    shared = [info for info in chosen if not info.alone]
    return ([shared] if shared else []) + [[info] for info in chosen if info.alone]
