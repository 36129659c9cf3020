"""fork: each request is served by a child forked from the launcher after the action's import.

The launcher never sees a request: the child reads it from the pipe and writes the reply itself, so no
request's data can be in memory that a later child inherits. After the reply the child and all its
descendants are ended and reaped before the launcher tells that it is ready.

A child that dies without a reply is answered `{"error": "command exited: …"}`: an error of the
application, and the container lives on, because the launcher was not touched. One that dies while it
reads or replies leaves half a line in a pipe; then the launcher ends too.

Threads: a fork keeps only the calling thread. Those that the action's import started are not there in
the child, as for any program that forks; BLAS runs with one thread. Not isolated: files, System V IPC,
and signals between processes of one user (a child can end the launcher, not read it).
"""

# pathlib would be one more module in every measured process.
# ruff: noqa: PTH123, PTH208
from __future__ import annotations

import ctypes
import gc
import mmap
import os
import signal
import sys
from typing import NoReturn

from actionloop.channel import encode
from actionloop.loop import Exchange, Scheme, Stage
from actionloop.reseed import reseed

PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36


class Fork(Scheme):
    """A child per request."""

    def prepare(self, exchange: Exchange) -> None:
        """Let orphaned descendants become children of the launcher, and let nobody read it."""
        super().prepare(exchange)
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        self._stage = mmap.mmap(-1, mmap.PAGESIZE)  # shared with the child
        self._nothing = os.open(os.devnull, os.O_RDONLY)

    def warmed(self) -> bool:
        """Keep the collector of a child from writing to (and so copying) all that it inherits."""
        gc.collect()
        gc.freeze()
        return True

    def serve(self) -> None:
        """Fork, wait, clean up, and answer in the child's place if it could not."""
        self._stage[0] = Stage.WAITING
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # what is buffered would be written twice
        child = os.fork()
        if child == 0:
            self._child()
        _, status = os.waitpid(child, 0)
        end_descendants()
        stage = self._stage[0]
        if stage == Stage.READ:
            self.exchange.replies.write(encode({"error": f"command exited: {_words(status)}"}))
        elif stage != Stage.REPLIED:
            raise RuntimeError(f"the child died in the middle of a line: {_words(status)}")

    def _child(self) -> NoReturn:
        status = 1
        try:
            self.exchange.ready.close()
            self._prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
            reseed()
            self.exchange.answer(self._mark)
            status = 0
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
            sys.stdout.flush()
        finally:
            os._exit(status & 0xFF)

    def _mark(self, stage: Stage) -> None:
        self._stage[0] = stage
        if stage is Stage.READ:
            os.dup2(self._nothing, self.exchange.requests.fd)  # the next request is not ours


def end_descendants() -> None:
    """Kill and reap all that is left of a request; one system call when nothing is."""
    while True:
        try:
            found, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if found == 0:
            for child in _children():
                os.kill(child, signal.SIGKILL)
            os.waitpid(-1, 0)  # its own children are ours now


def _children() -> list[int]:
    me, found = os.getpid(), []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:  # just gone
                continue
            if int(fields[1]) == me:
                found.append(int(name))
    return found


def _words(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit status {code}" if code >= 0 else f"signal {-code}"


SCHEME = Fork()
