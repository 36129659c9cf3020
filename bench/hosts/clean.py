"""Find and end what a killed harness left behind; whatever belongs to a living one stays."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from docker import DockerClient
from docker.errors import APIError, NotFound

from bench.build.cache import locked, remove_leftovers, remove_tree
from bench.errors import DockerError
from bench.hosts.leftovers import orphaned_short_folders, read_note
from bench.hosts.living import in_hand
from bench.hosts.local import connect_docker
from bench.paths import cache_dir, state_dir

#: Every container, network and volume that we make carries it; its value is the run's id.
LABEL = "rewind-bench"
END_S = 5.0


@dataclass
class Cleaned:
    """What was ended and removed."""

    machines: list[int] = field(default_factory=list)
    containers: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    #: Machines and containers of a harness that still runs: left alone.
    busy: list[int] = field(default_factory=list)
    used: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """One line for each kind, for people."""
        kinds: dict[str, Sequence[object]] = {
            "virtual machines ended": self.machines,
            "containers removed": self.containers,
            "networks removed": self.networks,
            "folders removed": self.folders,
            "virtual machines left to a harness that still runs": self.busy,
            "containers left to a harness that still runs": self.used,
        }
        return [f"{len(items)} {kind}" for kind, items in kinds.items() if items]


def clean(*, run: str = "", cache: bool = False, docker: bool = True) -> Cleaned:
    """End leftover machines, remove labelled containers of the local Docker and temporary files.

    `run` limits it to one run's id; `cache` drops the build cache too (but nothing being built).
    """
    done = Cleaned()
    for folder in sorted((state_dir() / "vms").glob("*")):
        _machine(folder, run, done)
    for folder in orphaned_short_folders():
        shutil.rmtree(folder, ignore_errors=True)
        done.folders.append(folder)
    if docker:
        with contextlib.suppress(DockerError), contextlib.closing(connect_docker()) as client:
            remove_labelled(client, run, done)
    done.folders += remove_leftovers()
    if cache:
        _drop_cache(done)
    return done


def remove_labelled(client: DockerClient, run: str, done: Cleaned) -> None:
    """Remove containers and networks that carry our label, but those of a run that is in hand."""
    alive = in_hand()
    wanted: dict[str, str | list[str] | bool] = {"label": f"{LABEL}={run}" if run else LABEL}
    for container in client.containers.list(all=True, filters=wanted, ignore_removed=True):
        if container.labels.get(LABEL) in alive:
            done.used.append(str(container.name))
            continue
        with contextlib.suppress(NotFound, APIError):
            container.remove(force=True, v=True)
            done.containers.append(str(container.name))
    for network in client.networks.list(filters=wanted):
        with contextlib.suppress(NotFound, APIError):
            network.remove()
            done.networks.append(str(network.name))


def _machine(folder: Path, run: str, done: Cleaned) -> None:
    note = read_note(folder)
    if note is None:  # damaged: whatever it was, QEMU died with its harness
        remove_tree(folder)
        done.folders.append(folder)
        return
    if run and note.label != run:
        return
    if note.harness_lives():
        done.busy += [note.pid] if note.pid else []
        return
    process = note.process(folder)
    if process is not None:
        _end(process)
        done.machines.append(note.pid)
    remove_tree(Path(note.sockets))
    remove_tree(folder)
    done.folders.append(folder)


def _end(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(END_S)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(END_S)


def _drop_cache(done: Cleaned) -> None:
    for folder in sorted((cache_dir() / "products").glob("*")):
        with locked(folder.name, wait=False) as mine:
            if mine:
                remove_tree(folder)
                done.folders.append(folder)
    remove_tree(cache_dir() / "logs")
    remove_tree(cache_dir() / "ccache")
