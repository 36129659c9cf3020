"""The one subprocess wrapper: argument list, time limit, whole group killed, typed errors."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.errors import CommandError, DiskFullError, MissingToolError

DISK_FULL_MARKS = (b"No space left on device", b"ENOSPC", b"Disk quota exceeded")
TAIL_BYTES = 4000


@dataclass(frozen=True)
class Completed:
    """A finished command; `stdout` and `stderr` are empty where they went to a log."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text, without the trailing newline."""
        return self.stdout.decode(errors="replace").rstrip("\n")


def kill_group(process: subprocess.Popen[bytes], grace_s: float = 5.0) -> None:
    """End a process started by `start` and all it has started: TERM, then KILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
            if number is signal.SIGTERM:
                continue  # stragglers of the group get the KILL
    process.wait()


def start(
    argv: Sequence[str],
    *,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | IO[bytes] | None = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a long-lived command in its own session; output to `log` (appended) or pipes.

    Raises MissingToolError when the program is not installed.
    """
    target: int | IO[bytes] = subprocess.PIPE
    with contextlib.ExitStack() as stack:
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            target = stack.enter_context(log.open("ab"))
        try:
            return subprocess.Popen(
                list(argv),
                stdin=stdin,
                stdout=target,
                stderr=target if log is None else subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            if cwd is not None and not cwd.is_dir():
                raise CommandError(f"folder {cwd} does not exist") from error
            raise not_installed(argv[0]) from error


@contextlib.contextmanager
def running(
    argv: Sequence[str],
    *,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A long-lived command that ends, with its whole group, when the block does."""
    process = start(argv, log=log, env=env, cwd=cwd)
    try:
        yield process
    finally:
        kill_group(process)


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    stdin: bytes | None = None,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
) -> Completed:
    """Run a command to its end.

    Raises MissingToolError (not installed), DiskFullError (it said so), CommandError (out of
    time, or with `check` a non-zero status). An interrupt kills the whole group.
    """
    process = start(
        argv, log=log, env=env, cwd=cwd, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE
    )
    try:
        out, err = process.communicate(stdin, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        kill_group(process)
        raise CommandError(
            f"'{argv[0]}' did not finish within {timeout_s:.0f} s" + _where(log),
        ) from error
    except BaseException:
        kill_group(process)
        raise
    done = Completed(tuple(argv), process.returncode, out or b"", err or b"")
    if check and done.status != 0:
        raise_failed(done, log)
    return done


def interactive(argv: Sequence[str]) -> int:
    """Run a command on this terminal and return its status."""
    try:
        return subprocess.call(list(argv))
    except FileNotFoundError as error:
        raise not_installed(argv[0]) from error


def not_installed(program: str) -> MissingToolError:
    """The error for a program that is not there."""
    return MissingToolError(
        f"'{program}' is not installed",
        hint="run 'rewind-bench doctor': it prints the command that installs it",
    )


def raise_failed(done: Completed, log: Path | None = None) -> None:
    """Raise the typed error for a command that ended with a non-zero status."""
    tail = (_tail(log) if log is not None else done.stderr or done.stdout)[-TAIL_BYTES:]
    if any(mark in tail for mark in DISK_FULL_MARKS):
        raise DiskFullError(
            f"disk full while running '{done.argv[0]}'",
            hint="free some space ('rewind-bench clean --cache' drops the build cache) and run again",
        )
    words = tail.decode(errors="replace").strip()
    raise CommandError(
        f"'{' '.join(done.argv)[:300]}' ended with status {done.status}{_where(log)}\n{words}",
    )


@contextlib.contextmanager
def disk_full_is_typed(doing: str) -> Iterator[None]:
    """Turn ENOSPC and EDQUOT from Python's own writes into DiskFullError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"disk full while {doing}",
                hint="free some space ('rewind-bench clean --cache' drops the build cache)",
            ) from error
        raise


def _tail(log: Path | None) -> bytes:
    if log is None:
        return b""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        return file.read()


def _where(log: Path | None) -> str:
    return f" (log: {log})" if log is not None else ""
