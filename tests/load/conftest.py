"""A stub of the platform as a real server on 127.0.0.1, and plans against it."""

import httpx
import pytest

from bench.check import Expected
from bench.load.lateness import STUB_AUTH, stub
from bench.load.plan import ActionCalls, LoadPlan


@pytest.fixture(scope="session")
def platform():
    with stub() as url:
        yield url


@pytest.fixture
def counts(platform):
    """What the stub has counted since the test began."""

    def now():
        return httpx.get(f"{platform}/count").json()

    before = now()
    return lambda: {key: value - before[key] for key, value in now().items()}


@pytest.fixture
def make_plan(platform):
    """A plan whose action 'echo' has one parameter set per given dictionary."""

    def make(arrivals, *params, expected=None, **settings):
        params = params or ({"n": 1},)
        due = tuple(expected) if expected else tuple(Expected({"echo": one}) for one in params)
        return LoadPlan(
            **{"url": platform, "auth": STUB_AUTH, "request_timeout_s": 10.0}
            | {"actions": {"echo": ActionCalls("echo", tuple(params), due)}, "arrivals": tuple(arrivals)}
            | settings
        )

    return make
