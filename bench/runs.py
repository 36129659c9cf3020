"""Which folder a run goes to: a new one, or the unfinished one that is to be resumed."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench import process
from bench.config import Resolved
from bench.errors import BenchError, UserError
from bench.paths import RESULTS, ROOT
from bench.provision import planned_builds
from bench.runner import now, plan
from bench.store.folder import RunFolder, read_manifest
from bench.store.manifest import Manifest
from bench.store.schemas import SCHEMA_VERSION

#: Packages that took part in a measurement or its analysis.
PACKAGES = ("aiohttp", "docker", "locust", "matplotlib", "numpy", "pandas", "paramiko", "pyarrow", "scipy")


def new(resolved: Resolved, root: Path = RESULTS) -> RunFolder:
    """A new run folder, named for the profile and the time."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    for suffix in ("", *(f"-{n}" for n in range(2, 100))):
        path = root / f"{resolved.name}-{stamp}{suffix}"
        if not path.exists():
            return RunFolder.create(path, manifest(resolved, path.name))
    raise UserError(f"no free name for a run below {root}", hint="remove old runs")


def resume(
    resolved: Resolved, root: Path = RESULTS, say: Callable[[str], None] = lambda _text: None
) -> RunFolder | None:
    """The newest unfinished run of the same profile, made with the same builds and revision, or None.

    `say` is told why one is not gone on with.
    """
    wanted = [cell.key for cell in plan(resolved)]
    for path in sorted(root.glob(f"{resolved.name}-*"), reverse=True):
        if not re.fullmatch(re.escape(resolved.name) + r"-\d{8}-\d{6}(-\d+)?", path.name):
            continue
        try:
            found = read_manifest(path)
        except UserError:
            continue
        if found.profile != as_data(resolved):
            continue
        folder = RunFolder.open(path)
        if folder.missing(wanted):
            other = changed(found, planned_builds(resolved), git_state()[0])
            if not other:
                return folder
            say(f"{path} is not gone on with: {other} changed since, and cells could not be compared")
        folder.close()
    return None


def changed(found: Manifest, builds: Mapping[str, str], revision: str) -> str:
    """What a run was made with and is not what there is now: "" when nothing."""
    if found.git_revision != revision:
        return "the project's revision has"
    names = [name for name, digest in found.builds.items() if builds.get(name, digest) != digest]
    return f"{', '.join(names)} has" if names else ""


def as_data(resolved: Resolved) -> dict[str, object]:
    """The profile as it goes into the manifest."""
    return resolved.profile.model_dump(mode="json")


def manifest(resolved: Resolved, name: str) -> Manifest:
    """What is known of a run before it begins."""
    revision, dirty = git_state()
    packages = {package: importlib.metadata.version(package) for package in PACKAGES}
    return Manifest(
        schema_version=SCHEMA_VERSION,
        run=name,
        profile_name=resolved.name,
        profile=as_data(resolved),
        seed=resolved.profile.seed,
        clock="wall",
        git_revision=revision,
        git_dirty=dirty,
        builds={},
        packages={"python": platform.python_version(), **packages},
        testbed=None,
        started=now(),
        ended="",
        stages=[],
        planned_cells=0,
        failures=[],
        schemes=[scheme.name for scheme in resolved.schemes],
        workloads=[workload.name for workload in resolved.workloads],
    )


def git_state() -> tuple[str, bool]:
    """Revision of the project's checkout, and whether it has changes; ("unknown", True) without git."""
    try:
        revision = _git(["rev-parse", "HEAD"])
        return revision, bool(_git(["status", "--porcelain", "--untracked-files=no"]))
    except (BenchError, subprocess.SubprocessError):
        return "unknown", True


def _git(words: Sequence[str]) -> str:
    return process.run(["git", "-C", str(ROOT), *words], timeout_s=30).text
