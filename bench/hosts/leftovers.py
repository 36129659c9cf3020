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
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from bench import process
from bench.errors import MissingToolError
from bench.paths import state_dir

NOTE_NAME = "owned.json"
SHORT_PREFIX = "rewind-bench-"
SETTLE_S = 10.0

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
    child = _starter.submit(process.start, mortal, log=log).result()
    deadline = time.monotonic() + SETTLE_S
    while _name(child.pid) == "setpriv" and time.monotonic() < deadline:
        time.sleep(0.005)  # until setpriv has become the command, nothing would end it with us
    return child


@dataclass(frozen=True)
class Note:
    """What `clean` needs to know of a process: enough never to hit another one."""

    label: str
    #: 0 before it was started.
    pid: int
    #: Start of the process (seconds since the epoch, as psutil says): a reused pid differs.
    started_unix_s: float
    program: str
    #: A folder for sockets, whose paths must be short.
    sockets: str
    harness_pid: int
    harness_started_unix_s: float

    def harness_lives(self) -> bool:
        """True when the harness that started it still runs (and so owns it)."""
        return created(self.harness_pid) == self.harness_started_unix_s

    def process(self, folder: Path) -> psutil.Process | None:
        """The process, when it is still there and still the one that works in `folder`."""
        with contextlib.suppress(psutil.Error):
            found = psutil.Process(self.pid)
            words = found.cmdline()
            same = found.create_time() == self.started_unix_s and words
            named = any(Path(word).name == self.program for word in words)
            if same and named and str(folder) in " ".join(words):
                return found
        return None


@dataclass(frozen=True)
class Place:
    """The folders of one owned machine; both go when its context ends."""

    label: str
    folder: Path
    sockets: Path

    def note(self, pid: int = 0, program: str = "") -> None:
        """Write down the process that lives here; 0 while there is none yet."""
        own = os.getpid()
        note = Note(
            *(self.label, pid, created(pid) if pid else 0.0, Path(program).name, str(self.sockets)),
            *(own, created(own)),
        )
        (self.folder / NOTE_NAME).write_text(json.dumps(asdict(note)) + "\n")


@contextlib.contextmanager
def place(label: str) -> Iterator[Place]:
    """Own a state folder and a socket folder, for the run called `label`."""
    folder = state_dir() / "vms" / secrets.token_hex(4)
    folder.mkdir(parents=True)
    try:
        with short_folder() as sockets:
            where = Place(label, folder, sockets)
            where.note()
            yield where
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """Own a folder with a short name, for sockets; its name says whose it is."""
    folder = Path(tempfile.mkdtemp(prefix=f"{SHORT_PREFIX}{os.getpid()}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def orphaned_short_folders() -> list[Path]:
    """Short folders of ours whose owner is gone."""
    found = []
    for folder in Path(tempfile.gettempdir()).glob(f"{SHORT_PREFIX}*"):
        owner = folder.name.removeprefix(SHORT_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            mine = folder.lstat().st_uid == os.getuid() and not folder.is_symlink()
            if mine and owner.isdecimal() and not psutil.pid_exists(int(owner)):
                found.append(folder)
    return found


def read_note(folder: Path) -> Note | None:
    """The note in a state folder, or None when it holds none that can be read."""
    try:
        return Note(**json.loads((folder / NOTE_NAME).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def created(pid: int) -> float:
    """When a process was started (its identity beside the pid), or 0.0 when there is none."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def _name(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return ""
