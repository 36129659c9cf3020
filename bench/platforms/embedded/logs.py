"""A container's standard output and error, cut into activations at the proxy's sentinels.

Reading goes on in the background: no activation, and no container's return to the pool,
ever waits for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from bench.platforms.embedded import texts
from bench.platforms.embedded.config import Limits

SENTINEL = b"XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"
Stream = Literal["stdout", "stderr"]
STREAMS: tuple[Stream, Stream] = ("stdout", "stderr")
#: A line that goes on longer than this is cut.
MAX_LINE_BYTES = 1024 * 1024
#: Output that comes while nobody is waiting for it (between requests) is kept up to this.
MAX_STRAY_BYTES = Limits().max_logs_mb * texts.MEGABYTE


def stamp() -> str:
    """The time as OpenWhisk's log lines have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


@dataclass(slots=True, eq=False)
class Expected:
    """An activation whose lines are to come; `done` is called once, with all of them."""

    limit_bytes: int
    done: Callable[[list[str]], None]
    lines: list[str] = field(default_factory=list)
    size: int = 0
    open_streams: set[Stream] = field(default_factory=lambda: set(STREAMS))
    closed: bool = False

    def add(self, stream: Stream, line: bytes) -> None:
        """A line; beyond the limit only the remark that there was more."""
        if self.size > self.limit_bytes:
            return
        self.size += len(line) + 1
        if self.size > self.limit_bytes:
            self.lines.append(f"{stamp()} stderr: {texts.logs_truncated(self.limit_bytes)}")
        else:
            self.lines.append(f"{stamp()} {stream}: {line.decode(errors='replace')}")

    def close(self) -> None:
        """Nothing more is awaited."""
        if not self.closed:
            self.closed = True
            self.done(self.lines)


class LogSplitter:
    """One per container; feed it what the container writes, in order."""

    def __init__(self) -> None:
        self._rest: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}
        self._queues: dict[Stream, deque[Expected]] = {"stdout": deque(), "stderr": deque()}
        self._stray: list[tuple[Stream, bytes]] = []
        self._stray_bytes = 0
        self._ended = False
        #: The last lines, for the operator when the container does not start.
        self.tail: deque[str] = deque(maxlen=20)

    def expect(self, limit_bytes: int, done: Callable[[list[str]], None]) -> Expected:
        """An activation begins: lines from now on, and stray ones from before, are its own."""
        wanted = Expected(limit_bytes, done)
        for stream, line in self._stray:
            wanted.add(stream, line)
        self._stray.clear()
        self._stray_bytes = 0
        if self._ended:
            wanted.close()
            return wanted
        for queue in self._queues.values():
            queue.append(wanted)
        return wanted

    def abandon(self, wanted: Expected) -> None:
        """Its sentinels did not come in time: close it with the lines there are."""
        for queue in self._queues.values():
            if wanted in queue:
                queue.remove(wanted)
        wanted.close()

    def feed(self, stream: Stream, data: bytes) -> None:
        """Output as it comes, cut anywhere."""
        *lines, rest = (self._rest[stream] + data).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            lines.append(rest)
            rest = b""
        self._rest[stream] = rest
        for line in lines:
            self._line(stream, line)

    def end(self) -> None:
        """The container is gone: what is open is complete as it is."""
        self._ended = True
        for stream in STREAMS:
            if self._rest[stream]:
                self._line(stream, self._rest[stream])
                self._rest[stream] = b""
        for wanted in {*self._queues["stdout"], *self._queues["stderr"]}:
            wanted.close()
        for queue in self._queues.values():
            queue.clear()

    def _line(self, stream: Stream, line: bytes) -> None:
        queue = self._queues[stream]
        if line.endswith(SENTINEL):
            text = line.removesuffix(SENTINEL)  # an action may print without a newline at the end
            if text:
                self._text(stream, text)
            if queue:
                wanted = queue.popleft()
                wanted.open_streams.discard(stream)
                if not wanted.open_streams:
                    wanted.close()
            return
        self._text(stream, line)

    def _text(self, stream: Stream, line: bytes) -> None:
        self.tail.append(f"{stream}: {line[:500].decode(errors='replace')}")
        queue = self._queues[stream]
        if queue:
            queue[0].add(stream, line)
        elif self._stray_bytes < MAX_STRAY_BYTES:
            self._stray.append((stream, line))
            self._stray_bytes += len(line)
