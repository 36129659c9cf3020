"""snapshot: after each reply a manager process puts the launcher's memory back, from user level.

The class of Groundhog: ptrace, a copy of the pages, written-page tracking by soft-dirty or userfaultfd.
The launcher forks; the parent, which is the process that the proxy started, becomes the manager
(src/main.c), the child goes on as the launcher. So the launcher keeps its input and descriptor 3 and
nothing is relayed, while only the manager has descriptor 4: it tells "ready", and no action can.

The launcher stops itself when it is warm, and after each reply; the second stop never returns, because
the restored process is behind the first one.
"""

# pathlib would be one more module in every measured process, as would socket and signal.
# ruff: noqa: PTH118, PTH120
from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed knows signal only
import _socket
import _thread
import gc
import os

from actionloop.action import CannotStartError
from actionloop.loop import Exchange, Scheme
from actionloop.reseed import reseed

MANAGER = os.path.join(os.path.dirname(__file__), "snapshotter")
WORD_BYTES = 1024


class Snapshot(Scheme):
    """A memory snapshot, restored after each reply."""

    def prepare(self, exchange: Exchange) -> None:
        """Become two: the manager and, traced by it, the launcher."""
        super().prepare(exchange)
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self._control, there = ours.detach(), theirs.detach()
        ready = exchange.ready.fd
        launcher = os.fork()
        if launcher:
            _become_manager(launcher, there, self._control, ready)
        os.close(there)
        exchange.ready.close()
        if (word := self._word()) != "attached":
            raise CannotStartError(word)

    def warmed(self) -> bool:
        """Have the snapshot taken; each restore returns here."""
        gc.collect()
        gc.freeze()  # as in fork: a collection would write to every object, and so to every page
        _stop()
        if (word := self._word()).startswith("{"):
            return True
        if not word.isdigit():
            raise CannotStartError(word)
        reseed()
        _stop()  # for the manager to tell "ready"
        return False

    def restore(self) -> None:
        """Have everything put back to where `warmed` was; does not return."""
        _stop()
        raise RuntimeError("the launcher was not restored")

    def _word(self) -> str:
        word = os.read(self._control, WORD_BYTES).decode(errors="replace")
        return word.removeprefix("refused ") or "the snapshot's manager has ended"


def _stop() -> None:
    _signal.pthread_kill(_thread.get_ident(), _signal.SIGSTOP)


def _become_manager(launcher: int, here: int, there: int, ready: int | None) -> None:
    try:
        for fd in (here, *((ready,) if ready is not None else ())):
            os.set_inheritable(fd, True)  # noqa: FBT003  its only form
        numbers = (launcher, here, there, -1 if ready is None else ready)
        os.execv(MANAGER, [MANAGER, *map(str, numbers)])  # noqa: S606  no shell is wanted
    finally:
        os._exit(1)


SCHEME = Snapshot()
