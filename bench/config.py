"""A profile: which experiments, on which testbed, at which size. One TOML file in configs/."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field

from bench import experiments
from bench.errors import ConfigError
from bench.paths import CONFIGS
from bench.plugins import Scheme, Workload, schemes, workloads
from bench.tomlfile import Strict, convert, read

_Plugin = TypeVar("_Plugin")
HINT = "mend the named keys; docs/profiles.md describes each of them"


class Testbed(Strict):
    """The machine under test."""

    __test__ = False  # not a test class, whatever its name says to pytest

    kind: Literal["vm", "local", "ssh"] = "vm"
    #: user@host[:port] of a remote machine, for kind = "ssh".
    host: str = ""
    accel: Literal["auto", "kvm", "tcg"] = "auto"
    cpus: int = Field(2, ge=1, le=256)
    memory_mb: int = Field(4096, ge=1024)


class Runtime(Strict):
    """What is in every container."""

    #: "own", or "apache@VERSION" for Apache OpenWhisk's own action proxy.
    action_proxy: str = Field("own", pattern=r"^(own|apache@.+)$")
    launcher_user: Literal["unprivileged", "root"] = "unprivileged"


class Platform(Strict):
    """What accepts invocations."""

    kind: Literal["embedded"] = "embedded"
    #: Pool size of all experiments that do not sweep it.
    user_memory_mb: int = Field(4096, ge=128)
    port: int = Field(3233, ge=1, le=65535)
    #: One core per container, as in the paper's set-up.
    pin_cpus: bool = False
    #: `docker pause` idle containers after so many seconds; 0 never does.
    pause_grace_s: float = Field(0.0, ge=0)
    idle_timeout_s: float = Field(600.0, gt=0)
    invocations_per_minute: int = Field(1_000_000, ge=1)
    concurrent_invocations: int = Field(1000, ge=1)


class Profile(Strict):
    """The whole file."""

    description: str
    seed: int = 42
    #: Names of folders under runtimes/; empty: all that can run on the testbed.
    schemes: tuple[str, ...] = ()
    #: Names of folders under workloads/; empty: all.
    workloads: tuple[str, ...] = ()
    #: Which of a workload's sizes.
    size: str = "small"
    testbed: Testbed = Testbed()
    runtime: Runtime = Runtime()
    platform: Platform = Platform()
    #: Experiment name -> its settings (each experiment module declares its own).
    experiments: dict[str, dict[str, Any]] = Field(min_length=1)


@dataclass(frozen=True)
class Resolved:
    """A profile with its plug-ins looked up and everything checked."""

    name: str
    profile: Profile
    schemes: tuple[Scheme, ...]
    workloads: tuple[Workload, ...]
    #: Experiment name -> its validated settings.
    settings: Mapping[str, experiments.Settings]


def profile_path(name: str) -> Path:
    """configs/NAME.toml, or NAME itself when it is a path."""
    return Path(name) if name.endswith(".toml") else CONFIGS / f"{name}.toml"


def load(name: str, overrides: Mapping[str, Any] | None = None) -> Resolved:
    """Read and check a profile; `overrides` has dotted keys ("testbed.kind") from the command line.

    Raises ConfigError with every problem of the profile and of the plug-ins it names.
    """
    path = profile_path(name)
    if not path.is_file():
        known = sorted(p.stem for p in CONFIGS.glob("*.toml") if _is_profile(p))
        raise ConfigError(
            [f"{path}: no such profile"], hint=f"profiles here: {', '.join(known)}; or give a path to a .toml"
        )
    problems: list[str] = []
    data = read(path, problems)
    if problems:
        raise ConfigError(problems, hint=HINT)
    for key, value in (overrides or {}).items():
        if not _set(data, key, value):
            problems.append(f"--set {key}: goes below a key that holds a value")
    if problems:
        raise ConfigError(problems, hint=HINT)
    return resolve(path.stem, data, str(path))


def resolve(name: str, data: Mapping[str, Any], where: str) -> Resolved:
    """Check a profile given as data; see `load`."""
    problems: list[str] = []
    profile = convert(data, Profile, where, problems)
    settings = _settings(data.get("experiments", {}), where, problems)
    all_schemes, all_workloads = _folders(schemes, problems), _folders(workloads, problems)
    _check_names(data.get("schemes"), all_schemes, f"{where}: schemes", problems)
    _check_names(data.get("workloads"), all_workloads, f"{where}: workloads", problems)
    for key, chosen in settings.items():
        _check_names(chosen.workloads, all_workloads, f"{where}: experiments.{key}.workloads", problems)
        _check_names(chosen.schemes, all_schemes, f"{where}: experiments.{key}.schemes", problems)
        _check_names(list(chosen.scheme), all_schemes, f"{where}: experiments.{key}.scheme", problems)
    if profile is None:
        raise ConfigError(problems, hint=HINT)
    # An experiment may name what takes part only by name, but never more than the profile's own choice.
    named = set(profile.schemes) or {name for chosen in settings.values() for name in chosen.schemes}
    picked_schemes = [
        _as_named(s) if n in profile.schemes else s
        for n, s in all_schemes.items()
        if n in named or not (profile.schemes or s.spec.named_only)
    ]
    if profile.testbed.kind != "vm" and not profile.schemes:
        picked_schemes = [s for s in picked_schemes if not s.spec.needs_kernel]
    picked_workloads = [
        w for n, w in all_workloads.items() if n in profile.workloads or not profile.workloads
    ]
    problems += [
        f"{where}: size: workload {w.name} has no size {profile.size!r}; it has {', '.join(w.spec.sizes)}"
        for w in picked_workloads
        if profile.size not in w.spec.sizes
    ]
    if profile.testbed.kind == "ssh" and "@" not in profile.testbed.host:
        problems.append(f"{where}: testbed.host: must be user@host[:port] for kind = 'ssh'")
    if problems:
        raise ConfigError(problems, hint=HINT)
    return Resolved(name, profile, tuple(picked_schemes), tuple(picked_workloads), settings)


def _as_named(scheme: Scheme) -> Scheme:
    """A scheme that the whole profile names takes part in all its experiments."""
    return dataclasses.replace(scheme, spec=scheme.spec.model_copy(update={"named_only": False}))


def _settings(tables: object, where: str, problems: list[str]) -> dict[str, experiments.Settings]:
    known = experiments.registry()
    found: dict[str, experiments.Settings] = {}
    if not isinstance(tables, dict):
        return found
    for key, table in tables.items():
        if key not in known:
            problems.append(f"{where}: experiments.{key}: {_unknown(key, list(known))}")
        elif isinstance(table, dict):
            place = f"{where}: experiments.{key}"
            made = convert(table, known[key].settings, place, problems)
            own = table.get("scheme", {})
            for scheme, values in own.items() if isinstance(own, dict) else ():
                if isinstance(values, dict):
                    convert(values, known[key].settings, f"{place}.scheme.{scheme}", problems)
            if made is not None:
                found[key] = made
    return found


def _folders(read_all: Callable[[], Mapping[str, _Plugin]], problems: list[str]) -> Mapping[str, _Plugin]:
    """All plug-ins of a kind; none, and their problems, when one is broken."""
    try:
        return read_all()
    except ConfigError as error:
        problems += error.problems
        return {}


def _check_names(names: object, known: Mapping[str, object], where: str, problems: list[str]) -> None:
    """`names` is as the profile has it, perhaps no list; where nothing could be read, nothing is unknown."""
    if isinstance(names, list | tuple) and known:
        words = [name for name in names if isinstance(name, str)]
        problems += [f"{where}: {_unknown(name, list(known))}" for name in words if name not in known]


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    return f"{name!r} is unknown; known: {', '.join(known)}.{guess}"


def _set(data: dict[str, Any], dotted: str, value: object) -> bool:
    *parents, last = dotted.split(".")
    for part in parents:
        child: Any = data.setdefault(part, {})
        if not isinstance(child, dict):
            return False
        data = child
    data[last] = value
    return True


def _is_profile(path: Path) -> bool:
    return "experiments" in read(path, [])
