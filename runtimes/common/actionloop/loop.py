"""The launcher loop: what is the same for every scheme, and where a scheme differs.

    launcher starts ─► action imported ─► warmed() ─► acknowledged
         ┌──────────────────────────────────┘
         └─► request there ─► serve(answer) ─► restore() ─► "ready" ─┐
                 ▲──────────────────────────────────────────────────┘

A scheme whose restore puts the process back to where `warmed` was comes out of `warmed` again, with
False: then the loop tells that it is ready in place of acknowledging.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from actionloop import action
from actionloop.action import CannotStartError
from actionloop.channel import Ready, Replies, Requests


class Stage(IntEnum):
    """How far one request has come."""

    WAITING = 0
    READ = 1  # nothing of it is left in the pipe
    REPLYING = 2
    REPLIED = 3


Mark = Callable[[Stage], object]


def _unmarked(stage: Stage) -> None:
    del stage


class Exchange:
    """One request after the other: read, call, reply."""

    def __init__(self) -> None:
        self.requests = Requests()
        self.replies = Replies()
        self.ready = Ready()
        self.function: Callable[[Any], Any] = lambda value: value

    def answer(self, mark: Mark = _unmarked) -> None:
        """Serve the request that waits; `mark` learns how far it has come."""
        request = self.requests.read()
        mark(Stage.READ)
        reply = action.call(self.function, request)
        mark(Stage.REPLYING)
        self.replies.write(reply)
        mark(Stage.REPLIED)


class Scheme:
    """How one request is isolated from the next; this one does nothing (warm reuse).

    An exception out of `serve` or `restore` ends the launcher, so that the container is retired.
    """

    def prepare(self, exchange: Exchange) -> None:
        """Before the action is imported."""
        self.exchange = exchange

    def warmed(self) -> bool:
        """After the import, before any request; False when it returns because of a restore.

        Raise CannotStartError with the reason where the scheme cannot protect: it never serves then.
        """
        return True

    def serve(self) -> None:
        """Have `self.exchange.answer` called once; a request waits."""
        self.exchange.answer()

    def restore(self) -> None:
        """After the reply, before the next request is admitted."""


def run(scheme: Scheme, folder: str, main: str) -> int:
    """Serve the action in `folder` under a scheme until there are no more requests."""
    exchange = Exchange()
    try:
        scheme.prepare(exchange)
        exchange.function = action.load(folder, main)
        fresh = scheme.warmed()
    except CannotStartError as error:
        print(f"cannot start: {error}", file=sys.stderr, flush=True)
        exchange.replies.refuse(str(error))
        return 1
    if fresh:
        exchange.replies.acknowledge()
    else:
        exchange.ready.tell()
    while exchange.requests.wait():
        scheme.serve()
        scheme.restore()
        exchange.ready.tell()
    return 0
