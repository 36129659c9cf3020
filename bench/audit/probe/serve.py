"""The audit's action: one request plants, looks, or just passes by."""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Sequence
from typing import Any

from .base import REGISTRY, Channel, Secret, errno_name

PACKAGE = __name__.rpartition(".")[0]
NOT_FAMILIES = {"base", "addresses", "serve"}
CHANNELS: dict[str, Channel] = {}


def families() -> list[str]:
    """All modules that hold channels."""
    folder = importlib.import_module(PACKAGE).__path__
    return sorted({found.name for found in pkgutil.iter_modules(folder)} - NOT_FAMILIES)


def load(names: Sequence[str]) -> dict[str, type[Channel]]:
    """Import families; their channels by name."""
    for name in names:
        importlib.import_module(f"{PACKAGE}.{name}")
    return {name: kind for name, kind in REGISTRY.items() if kind.family in names}


def prepare(families: Sequence[str], names: Sequence[str]) -> None:
    """At the action's import: make ready these channels."""
    for name, kind in load(families).items():
        if name in names:
            CHANNELS[name] = kind()
            CHANNELS[name].prepare()
    for channel in CHANNELS.values():
        channel.settle()


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Serve one request of the audit."""
    kind = args["kind"]
    if kind == "filler":
        return {"last": max(str(number) for number in range(1000))}
    channel = CHANNELS[args["channel"]]
    return _plant(channel, args) if kind == "plant" else _look(channel, args)


def _plant(channel: Channel, args: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"carry": channel.plant(Secret.of_seed(args["seed"]))}
    except OSError as error:
        return {"refused": errno_name(error.errno), "said": str(error)}
    except Exception:  # noqa: BLE001  told to the harness, not to a log
        return {"broken": traceback.format_exc(limit=-3)}


def _look(channel: Channel, args: dict[str, Any]) -> dict[str, Any]:
    secret = Secret(bytes.fromhex(args["masked"]), args["name"])
    try:
        return {"found": channel.look(secret, args.get("carry"))}
    except Exception as error:  # noqa: BLE001  what one request did to another
        where = traceback.extract_tb(error.__traceback__)[-1]
        return {"failed": f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"}
