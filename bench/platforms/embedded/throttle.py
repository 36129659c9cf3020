"""How many invocations a namespace may have per minute and at once."""

from __future__ import annotations

from collections import defaultdict

from bench.platforms.embedded import texts
from bench.platforms.embedded.answers import ApiError
from bench.platforms.embedded.config import Throttles

MINUTE_S = 60


class Throttle:
    """OpenWhisk's two: a fixed clock minute, and invocations in flight."""

    def __init__(self, limits: Throttles) -> None:
        self._limits = limits
        self._minute = -1
        self._in_minute: defaultdict[str, int] = defaultdict(int)
        self._in_flight: defaultdict[str, int] = defaultdict(int)

    def enter(self, namespace: str, now_s: float) -> None:
        """Count an invocation in; ApiError 429 when it is one too many."""
        minute = int(now_s // MINUTE_S)
        if minute != self._minute:
            self._minute = minute
            self._in_minute.clear()
        self._in_minute[namespace] += 1  # a rejected one counts too, as in the original
        count = self._in_minute[namespace]
        if count > self._limits.invocations_per_minute:
            raise ApiError(429, texts.too_many_in_minute(count, self._limits.invocations_per_minute))
        at_once = self._in_flight[namespace] + 1
        if at_once > self._limits.concurrent_invocations:
            raise ApiError(429, texts.too_many_at_once(at_once, self._limits.concurrent_invocations))
        self._in_flight[namespace] = at_once

    def leave(self, namespace: str) -> None:
        """The invocation has ended."""
        self._in_flight[namespace] -= 1
