"""The platform's settings: one JSON file, unknown keys rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from bench.errors import ConfigError

#: The stand-alone OpenWhisk's own public default: made for `wsk property set`, not a secret.
GUEST_KEY = (
    "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
)
DEFAULT_PORT = 3233


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ranges of an action's limits, and sizes."""

    min_memory_mb: int = 128
    std_memory_mb: int = 256
    max_memory_mb: int = 512
    min_timeout_ms: int = 100
    std_timeout_ms: int = 60_000
    max_timeout_ms: int = 300_000
    max_logs_mb: int = 10
    payload_bytes: int = 1024 * 1024
    code_bytes: int = 48 * 1024 * 1024
    #: A blocking call that lasts longer is answered with 202.
    blocking_ms: int = 60_000


class Throttles(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """OpenWhisk's own default rates reject most benchmark loads."""

    invocations_per_minute: int = 60
    concurrent_invocations: int = 30


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An entry of the runtimes manifest."""

    image: str
    #: True: what "NAME:default" stands for.
    default: bool = True


class StemCell(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Containers of a kind that are started before anyone asks."""

    kind: str
    count: int
    memory_mb: int = 256


class Containers(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How action containers are made."""

    #: "container": the container's own address; "published": a port on 127.0.0.1.
    address: Literal["container", "published"] = "container"
    network: str = "bridge"
    #: Put first in `wsk<N>_<n>_<namespace>_<action>`: two platforms on one daemon differ in it.
    #: None: 0 on the default port, else the port.
    invoker: int | None = None
    #: None: shared out as OpenWhisk does, 1024 shares over the pool's memory.
    cpu_shares: int | None = None
    #: CPUs that a container may use at most; None: no limit.
    cpus: float | None = None
    #: One of these cores per container, the least used first; empty: no pinning.
    cpuset: list[int] = []
    seccomp_profile: str = ""
    pids_limit: int = 1024
    nofile: int = 1024
    cap_drop: tuple[str, ...] = ("NET_RAW", "NET_ADMIN")
    env: dict[str, str] = {}
    #: HOST-PATH -> CONTAINER-PATH, read-only (a socket can be connected to all the same).
    mounts: dict[str, str] = {}
    #: Folder of a service that makes each container a socket of its own; see own_socket.py.
    socket_service: str = ""
    #: On top of the platform's own labels, e.g. {"rewind-bench": RUN}.
    labels: dict[str, str] = {}
    max_parallel_runs: int = 10


class ProcessImage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An action proxy as a plain process; "{port}" and "{dir}" are replaced in both."""

    argv: list[str]
    env: dict[str, str] = {}


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything; the defaults are the stand-alone OpenWhisk's."""

    host: str = "127.0.0.1"
    #: 0: any free port, told in `port_file`.
    port: int = DEFAULT_PORT
    #: Where the listening port is written once requests are accepted; "": nowhere.
    port_file: str = ""
    #: End when the process that started this one does.
    stop_with_parent: bool = False
    #: namespace -> "user:password"
    auth: dict[str, str] = msgspec.field(default_factory=lambda: {"guest": GUEST_KEY})
    #: SQLite file of actions and activations; ":memory:" keeps nothing over a restart.
    database: str = ":memory:"
    max_activations: int = 100_000
    user_memory_mb: int = 2048
    limits: Limits = Limits()
    throttles: Throttles = Throttles()
    kinds: dict[str, Kind] = {}
    stem_cells: list[StemCell] = []
    #: Idle containers are paused after this; None: never.
    pause_grace_ms: int | None = None
    idle_timeout_ms: int = 600_000
    #: A container that does not confirm within this time is retired.
    ready_timeout_ms: int = 60_000
    #: Log lines are waited for this long after an activation, then the record is closed.
    log_timeout_ms: int = 2_000
    #: Keep the connection to a container's proxy open between requests.
    keep_alive: bool = True
    driver: Literal["docker", "process"] = "docker"
    containers: Containers = Containers()
    #: image name -> process, for the "process" driver
    processes: dict[str, ProcessImage] = {}


def load(path: Path) -> Config:
    """Read and check the file; ConfigError names every fault that can be told."""
    try:
        config = msgspec.json.decode(path.read_bytes(), type=Config)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"], hint="--config names a JSON file") from error
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ConfigError([f"{path}: {error}"], hint="see bench/platforms/embedded/config.py") from error
    faults = [f"{path}: {problem}" for problem in problems(config)]
    if faults:
        raise ConfigError(faults, hint="see bench/platforms/embedded/config.py")
    return config


def problems(config: Config) -> list[str]:
    """What types cannot say."""
    limits = config.limits
    found = [
        (not 0 <= config.port <= 65535, "port: not in 0 to 65535"),
        (not config.auth, "auth: no namespace"),
        (config.user_memory_mb < limits.min_memory_mb, "user_memory_mb: below limits.min_memory_mb"),
        (
            not limits.min_memory_mb <= limits.std_memory_mb <= limits.max_memory_mb,
            "limits: min_memory_mb <= std_memory_mb <= max_memory_mb does not hold",
        ),
        (
            not limits.min_timeout_ms <= limits.std_timeout_ms <= limits.max_timeout_ms,
            "limits: min_timeout_ms <= std_timeout_ms <= max_timeout_ms does not hold",
        ),
        (config.containers.max_parallel_runs < 1, "containers.max_parallel_runs: below 1"),
        (config.driver == "process" and not config.processes, "processes: empty, but driver is 'process'"),
    ]
    found += [(":" not in key, f"auth.{name}: not USER:PASSWORD") for name, key in config.auth.items()]
    found += [(c.kind not in config.kinds, f"stem_cells: unknown kind '{c.kind}'") for c in config.stem_cells]
    return [text for wrong, text in found if wrong]
