"""Actions and activations: in memory as far as needed at once, in SQLite for good.

Activation records are written in batches by one writer thread, off the request's path; an
action is on disk before its PUT is answered. A batch that cannot be written (disk full) is
tried again, and the oldest records are dropped when too many wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec

from bench.errors import PlatformError
from bench.platforms.embedded.entities import Action
from bench.platforms.embedded.records import Activation

FLUSH_S = 0.1
MAX_UNWRITTEN = 20_000
SCHEMA = """
create table if not exists actions (namespace text, name text, body blob, primary key (namespace, name));
create table if not exists activations (
    id text primary key, namespace text, name text, start_ms integer, body blob);
create index if not exists by_start on activations (namespace, start_ms);
create index if not exists by_name on activations (namespace, name, start_ms);
"""
Row = tuple[str, str, str, int, bytes]
log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Query:
    """What a list of activations is asked for."""

    namespace: str
    name: str | None
    limit: int
    skip: int
    since_ms: int | None
    upto_ms: int | None


class Store:
    """Use `open` and `close`; all methods run in the event loop's thread."""

    def __init__(self, path: str, max_activations: int) -> None:
        self._path = path
        self._max = max_activations
        self._writer = ThreadPoolExecutor(1, "store")
        self._actions: dict[tuple[str, str], Action] = {}
        self._unwritten: dict[str, Activation] = {}  # with an end, but not (or not wholly) on disk
        self._running: dict[str, Activation] = {}
        self._dirty: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._db: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file and read the actions; PlatformError when that cannot be."""
        try:
            rows = await self._in_thread(self._connect)
        except sqlite3.Error as error:
            raise PlatformError(
                f"database {self._path}: {error}",
                hint="name another file in the platform's setting 'database', or remove this one",
            ) from error
        for body in rows:
            action = msgspec.msgpack.decode(body, type=Action)
            self._actions[action.namespace, action.name] = action
        self._task = asyncio.create_task(self._write_batches())

    async def close(self) -> None:
        """Write what is left."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            self._dirty.update(self._unwritten)
            await self.flush()
            await self._in_thread(self._disconnect)
        self._writer.shutdown()

    def action(self, namespace: str, name: str) -> Action | None:
        """The action, if there is one."""
        return self._actions.get((namespace, name))

    def actions(self, namespace: str) -> list[Action]:
        """All of a namespace, the newest first."""
        found = [a for a in self._actions.values() if a.namespace == namespace]
        return sorted(found, key=lambda a: a.revision, reverse=True)

    async def put_action(self, action: Action) -> None:
        """Keep an action; on disk when this returns."""
        self._actions[action.namespace, action.name] = action
        row = (action.namespace, action.name, msgspec.msgpack.encode(action))
        await self._in_thread(self._execute, "insert or replace into actions values (?, ?, ?)", row)

    async def delete_action(self, action: Action) -> None:
        """Forget an action."""
        del self._actions[action.namespace, action.name]
        row = (action.namespace, action.name)
        await self._in_thread(self._execute, "delete from actions where namespace = ? and name = ?", row)

    def begin(self, activation: Activation) -> None:
        """An activation has an id now."""
        self._running[activation.id] = activation

    def end(self, activation: Activation) -> None:
        """The activation has a result; parts of its record may follow."""
        self._running.pop(activation.id, None)
        self._unwritten[activation.id] = activation
        self.changed(activation)

    def changed(self, activation: Activation) -> None:
        """Write it (again) as soon as it is complete."""
        if activation.complete.is_set():
            self._dirty.add(activation.id)

    def running(self, activation_id: str) -> Activation | None:
        """An activation without a result yet."""
        return self._running.get(activation_id)

    async def activation(self, namespace: str, activation_id: str, wait_s: float) -> dict[str, Any] | None:
        """A record, complete if it becomes so within `wait_s`."""
        fresh = self._unwritten.get(activation_id)
        if fresh is not None and fresh.action.namespace == namespace:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(fresh.complete.wait(), wait_s)
            return fresh.wire()
        sql = "select body from activations where id = ? and namespace = ?"
        rows = await self._in_thread(self._select, sql, (activation_id, namespace))
        return msgspec.json.decode(rows[0][0]) if rows else None

    async def activations(self, query: Query) -> list[dict[str, Any]]:
        """Records with a result, the newest first."""
        self._dirty.update(self._unwritten)
        await self.flush()
        where, values = ["namespace = ?"], [query.namespace]
        given: list[tuple[str, Any]] = [
            ("name = ?", query.name),
            ("start_ms >= ?", query.since_ms),
            ("start_ms <= ?", query.upto_ms),
        ]
        for term, value in given:
            if value is not None:
                where.append(term)
                values.append(value)
        terms = " and ".join(where)  # constants, those above
        sql = f"select body from activations where {terms} order by start_ms desc limit ? offset ?"  # noqa: S608
        rows = await self._in_thread(self._select, sql, (*values, query.limit, query.skip))
        return [msgspec.json.decode(row[0]) for row in rows]

    async def flush(self) -> None:
        """Write the records that have changed; those that are complete leave the memory."""
        batch = [self._unwritten[i] for i in self._dirty if i in self._unwritten]
        self._dirty.clear()
        if not batch:
            return
        whole = [a.id for a in batch if a.complete.is_set()]
        rows: list[Row] = [
            (a.id, a.action.namespace, a.action.name, a.start_ms, _encode(a.wire())) for a in batch
        ]
        try:
            await self._in_thread(self._insert, rows)
        except sqlite3.Error as error:
            log.error("%d activation records not written: %s", len(rows), error)  # noqa: TRY400
            self._dirty.update(a.id for a in batch)
            self._bound()
            return
        for activation_id in whole:
            if activation_id not in self._dirty:
                self._unwritten.pop(activation_id, None)

    def _bound(self) -> None:
        for activation_id in list(self._unwritten)[: max(0, len(self._unwritten) - MAX_UNWRITTEN)]:
            del self._unwritten[activation_id]

    async def _write_batches(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    async def _in_thread(self, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._writer, function, *args)

    def _connect(self) -> list[bytes]:
        self._db = sqlite3.connect(self._path, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = normal")
        self._db.executescript(SCHEMA)
        return [row[0] for row in self._db.execute("select body from actions")]

    def _disconnect(self) -> None:
        if self._db is not None:
            self._db.close()

    def _execute(self, sql: str, values: tuple[Any, ...]) -> None:
        assert self._db is not None  # noqa: S101 - opened first
        self._db.execute(sql, values)

    def _select(self, sql: str, values: tuple[Any, ...]) -> list[tuple[bytes]]:
        assert self._db is not None  # noqa: S101 - opened first
        return self._db.execute(sql, values).fetchall()

    def _insert(self, rows: list[Row]) -> None:
        assert self._db is not None  # noqa: S101 - opened first
        with contextlib.closing(self._db.cursor()) as cursor:
            cursor.execute("begin")
            try:
                cursor.executemany("insert or replace into activations values (?, ?, ?, ?, ?)", rows)
                oldest = "select rowid from activations order by rowid desc limit -1 offset ?"
                cursor.execute(f"delete from activations where rowid in ({oldest})", (self._max,))  # noqa: S608 - a constant
            except BaseException:
                cursor.execute("rollback")
                raise
            cursor.execute("commit")
