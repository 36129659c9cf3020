import sqlite3

import msgspec
import pytest

from bench.errors import PlatformError
from bench.platforms.embedded import store as store_module
from bench.platforms.embedded.config import Config, Kind
from bench.platforms.embedded.entities import ActionBody, ExecBody, make
from bench.platforms.embedded.records import Activation, Outcome
from bench.platforms.embedded.store import Query, Store

CONFIG = Config(kinds={"python:3": Kind(image="py")})


def action(name="a"):
    return make("guest", name, ActionBody(exec=ExecBody(kind="python:3", code="x")), None, CONFIG)


def ended(number, name="a"):
    made = Activation(f"{number:032d}", action(name), "guest", 0, "t", lambda: None)
    made.start_ms = made.end_ms = 1000 + number
    made.outcome = Outcome("success", msgspec.Raw(b'{"n":%d}' % number), 7, healthy=True)
    made.complete.set()
    return made


def query(**changes):
    usual = {"namespace": "guest", "name": None, "limit": 200, "skip": 0, "since_ms": None, "upto_ms": None}
    return Query(**{**usual, **changes})


@pytest.fixture
async def opened(tmp_path):
    store = Store(str(tmp_path / "db"), 1000)
    await store.open()
    yield store
    await store.close()


async def reopen(tmp_path):
    store = Store(str(tmp_path / "db"), 1000)
    await store.open()
    return store


async def test_actions_and_activations_survive(tmp_path, opened):
    kept = action("kept")
    await opened.put_action(kept)
    await opened.put_action(action("gone"))
    await opened.delete_action(opened.action("guest", "gone"))
    opened.end(ended(7))
    await opened.close()
    again = await reopen(tmp_path)
    assert again.action("guest", "kept") == kept
    assert again.action("guest", "gone") is None
    record = await again.activation("guest", f"{7:032d}", 0)
    assert record["response"]["result"] == {"n": 7}
    await again.close()


async def test_an_action_is_on_disk_when_its_put_returns(tmp_path, opened):
    await opened.put_action(action("kept"))
    with sqlite3.connect(tmp_path / "db") as other:
        assert other.execute("select name from actions").fetchall() == [("kept",)]


async def test_lists_are_newest_first_and_filtered(opened):
    for number in range(5):
        opened.end(ended(number, "even" if number % 2 == 0 else "odd"))

    async def numbers(**changes):
        return [r["response"]["result"]["n"] for r in await opened.activations(query(**changes))]

    assert await numbers() == [4, 3, 2, 1, 0]
    assert await numbers(name="odd") == [3, 1]
    assert await numbers(limit=2, skip=1) == [3, 2]
    assert await numbers(since_ms=1003) == [4, 3]
    assert await numbers(upto_ms=1001) == [1, 0]
    assert await numbers(namespace="other") == []


async def test_a_record_is_another_namespaces_secret(opened):
    opened.end(ended(1))
    assert await opened.activation("other", f"{1:032d}", 0) is None
    await opened.flush()
    assert await opened.activation("other", f"{1:032d}", 0) is None


async def test_written_records_leave_the_memory(opened):
    for number in range(500):
        opened.end(ended(number))
    await opened.flush()
    assert not opened._unwritten
    assert (await opened.activation("guest", f"{499:032d}", 0))["response"]["result"] == {"n": 499}


async def test_a_record_changed_after_its_write_is_written_again(opened):
    late = ended(1)
    late.complete.clear()
    opened.end(late)
    assert (await opened.activations(query()))[0]["logs"] == []
    late.log_part().append("line")
    late.complete.set()
    opened.changed(late)
    await opened.flush()
    assert (await opened.activations(query()))[0]["logs"] == ["line"]


async def test_the_oldest_records_go_when_there_are_too_many(tmp_path):
    store = Store(str(tmp_path / "db"), 10)
    await store.open()
    for number in range(25):
        store.end(ended(number))
        await store.flush()
    found = await store.activations(query())
    assert [r["response"]["result"]["n"] for r in found] == list(range(24, 14, -1))
    await store.close()


async def test_a_disk_that_refuses_loses_nothing_that_fits_in_memory(tmp_path, opened, monkeypatch):
    await opened._in_thread(opened._execute, "pragma query_only = on", ())
    for number in range(30):
        opened.end(ended(number))
    monkeypatch.setattr(store_module, "MAX_UNWRITTEN", 20)
    await opened.flush()
    assert len(opened._unwritten) == 20
    await opened._in_thread(opened._execute, "pragma query_only = off", ())
    assert len(await opened.activations(query())) == 20


async def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "db").write_bytes(b"not a database, not at all" * 100)
    store = Store(str(tmp_path / "db"), 10)
    with pytest.raises(PlatformError, match="database") as caught:
        await store.open()
    assert "database" in caught.value.hint
    await store.close()
