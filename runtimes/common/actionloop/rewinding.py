"""Schemes on the REWIND kernel: the launcher checkpoints itself when warm, and rewinds after each reply.

    import ─► [warm-up] ─► checkpoint ─ 0 ─► acknowledged ──────┐
                               │                                ▼
                               └─ n ─► [files] ─► seeds ─► "ready" ─► request ─► reply ─► rewind ─┐
                               ▲                                                                  │
                               └──────────────────────────────────────────────────────────────────┘

The checkpoint precedes every request, so that no request's data is in it, and is sealed, so that no request
can put its own state in its place; that there was a rewind the proxy hears from the kernel. That this
process may take one was permitted by the compile step on the proxy's behalf (common/permit.c).

What cannot be put back is refused by the kernel: the reason goes to the proxy in place of "ready", and
the launcher ends, so that the container is retired.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

from rewind import Flags, RewindError, checkpoint, rewind, state

from actionloop import action
from actionloop.action import CannotStartError
from actionloop.channel import encode
from actionloop.filereset import FileReset, FileResetError
from actionloop.loop import Scheme
from actionloop.reseed import reseed

#: What an action may declare: an argument that is nobody's data, for a call before the checkpoint.
WARM_UP = "WARM_UP"


class Rewinding(Scheme):
    """Memory by the kernel, and files by the service where `files` says so.

    `warm_up` makes one call with the action's declared argument first; `figures` tells the kernel's
    counters after each restore, which costs a little itself.
    """

    def __init__(
        self, flags: int = Flags.NONE, *, files: bool = False, warm_up: bool = False, figures: bool = False
    ) -> None:
        self._flags = int(flags)
        self._files = FileReset() if files else None
        self._warm_up = warm_up
        self._figures = figures

    def warmed(self) -> bool:
        """Checkpoint; each rewind returns here."""
        if self._warm_up:
            self._rehearse()
        gc.collect()
        gc.freeze()  # as in fork: a collection would write to every object, and so to every page
        try:
            if self._files is not None:
                took = self._files.checkpoint()
                self.exchange.ready.figures["file_checkpoint_ns"] = took["ns"]
            generation = checkpoint(self._flags | Flags.SEAL)
        except (FileResetError, RewindError) as error:
            raise CannotStartError(str(error)) from error
        if generation == 0:
            return True
        self._rewound()
        return False

    def restore(self) -> None:
        """Back to where `warmed` was; does not return."""
        try:
            rewind(self._flags)
        except RewindError as error:
            self.exchange.ready.refuse(str(error))
            raise

    def _rewound(self) -> None:
        """What is left to do when memory is back."""
        told = self.exchange.ready.figures
        if self._files is not None:
            try:
                took = self._files.reset()
            except FileResetError as error:
                self.exchange.ready.refuse(str(error))
                raise
            told |= {"file_reset_ns": took["ns"], "file_entries": took["entries"]}
        reseed()
        if self._figures:
            told |= {key: int(value) for key, value in state().items() if value.isdigit()}

    def _rehearse(self) -> None:
        module: Any = sys.modules[action.MODULE]
        value = getattr(module, WARM_UP, None)
        if value is not None:
            action.call(self.exchange.function, encode({"value": value}))
