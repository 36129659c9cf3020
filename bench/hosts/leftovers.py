"""What must not outlive the harness: processes that die with it, and a note of each for `clean`.

Each owned machine has a folder `state/vms/ID/` with `owned.json`, its console and its overlay.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from bench import process
from bench.errors import MissingToolError
from bench.paths import state_dir

NOTE_NAME = "owned.json"

# A death signal comes when the *thread* that started the child ends; this one ends with the harness.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


def start_owned(argv: Sequence[str], *, log: Path) -> subprocess.Popen[bytes]:
    """Start a command that the kernel kills when this process ends, however it ends.

    Raises MissingToolError.
    """
    if shutil.which(argv[0]) is None:
        raise MissingToolError(
            f"'{argv[0]}' is not installed",
            hint="run 'rewind-bench doctor': it prints the command that installs it",
        )
    mortal = ["setpriv", "--pdeathsig", "KILL", "--", *argv]
    return _starter.submit(process.start, mortal, log=log).result()


@dataclass(frozen=True)
class Note:
    """What `clean` needs to know of a process: enough never to hit another one."""

    label: str
    pid: int
    #: Start of the process (seconds since the epoch, as psutil says): a reused pid differs.
    started_unix_s: float
    program: str
    #: A folder for sockets, whose paths must be short.
    sockets: str
    harness_pid: int

    def process(self) -> psutil.Process | None:
        """The process, when it is still there and still the one that we started."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.started_unix_s) < 1.0
            if same and found.cmdline() and Path(found.cmdline()[0]).name == self.program:
                return found
        except psutil.Error:
            pass
        return None


@dataclass(frozen=True)
class Place:
    """The folders of one owned machine; both go when its context ends."""

    folder: Path
    sockets: Path

    def note(self, label: str, pid: int, program: str) -> None:
        """Write down the process that lives here."""
        started = psutil.Process(pid).create_time()
        note = Note(label, pid, started, Path(program).name, str(self.sockets), os.getpid())
        (self.folder / NOTE_NAME).write_text(json.dumps(asdict(note)) + "\n")


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """Own a state folder and a socket folder."""
    folder = state_dir() / "vms" / secrets.token_hex(4)
    folder.mkdir(parents=True)
    sockets = Path(tempfile.mkdtemp(prefix="rewind-bench-"))
    try:
        yield Place(folder, sockets)
    finally:
        shutil.rmtree(sockets, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def read_note(folder: Path) -> Note | None:
    """The note in a state folder, or None when it holds none that can be read."""
    try:
        return Note(**json.loads((folder / NOTE_NAME).read_text()))
    except (OSError, ValueError, TypeError):
        return None
