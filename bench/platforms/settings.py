"""What a profile says of the platform, and the embedded platform's configuration from it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench.platforms.embedded.config import (
    DEFAULT_PORT,
    GUEST_KEY,
    Config,
    Containers,
    Kind,
    Limits,
    StemCell,
    Throttles,
)

#: Throttles so wide that they never take part in a measurement.
UNTHROTTLED = Throttles(invocations_per_minute=10**9, concurrent_invocations=10**6)


class PlatformSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same for every scheme of a run."""

    #: None: 3233 on a testbed, any free port on the local machine.
    port: int | None = None
    auth: str = GUEST_KEY
    user_memory_mb: int = 4096
    limits: Limits = Limits()
    throttles: Throttles = UNTHROTTLED
    #: kind -> image
    kinds: dict[str, str] = {}
    stem_cells: list[StemCell] = []
    pause_grace_ms: int | None = None
    idle_timeout_ms: int = 600_000
    max_parallel_runs: int = 10
    #: One core per container, of these; empty: no pinning.
    cpuset: list[int] = []
    #: CPUs that a container may use at most; None: no limit.
    cpus: float | None = None
    #: A file on the harness's machine; None: Docker's own profile.
    seccomp_profile: Path | None = None
    #: Environment of every action container.
    env: dict[str, str] = {}
    #: Path on the testbed -> path in every action container, read-only.
    mounts: dict[str, str] = {}
    #: Folder on the testbed of a service with a socket for each container; "": there is none.
    socket_service: str = ""
    keep_alive: bool = True

    def config(self, *, published: bool, run_label: str, seccomp_path: str, database: str) -> Config:
        """For a platform on a testbed, or with published ports on the local machine."""
        containers = Containers(
            address="published" if published else "container",
            cpus=self.cpus,
            cpuset=self.cpuset,
            seccomp_profile=seccomp_path,
            env=self.env,
            mounts=self.mounts,
            socket_service=self.socket_service,
            labels={"rewind-bench": run_label},
            max_parallel_runs=self.max_parallel_runs,
        )
        port = self.port
        if port is None:
            port = 0 if published else DEFAULT_PORT
        return Config(
            port=port,
            auth={"guest": self.auth},
            database=database,
            user_memory_mb=self.user_memory_mb,
            limits=self.limits,
            throttles=self.throttles,
            kinds={kind: Kind(image=image) for kind, image in self.kinds.items()},
            stem_cells=self.stem_cells,
            pause_grace_ms=self.pause_grace_ms,
            idle_timeout_ms=self.idle_timeout_ms,
            keep_alive=self.keep_alive,
            containers=containers,
        )
