import pytest

from bench.platforms.embedded.answers import ApiError
from bench.platforms.embedded.config import Throttles
from bench.platforms.embedded.throttle import Throttle


def refused(throttle, now_s):
    with pytest.raises(ApiError) as caught:
        throttle.enter("guest", now_s)
    return caught.value.status, caught.value.text


def test_invocations_per_minute_of_the_clock():
    throttle = Throttle(Throttles(invocations_per_minute=2, concurrent_invocations=10))
    throttle.enter("guest", 119.0)
    throttle.enter("guest", 119.5)
    assert refused(throttle, 119.9) == (429, "Too many requests in the last minute (count: 3, allowed: 2).")
    throttle.enter("guest", 120.0)


def test_invocations_at_once():
    throttle = Throttle(Throttles(invocations_per_minute=100, concurrent_invocations=1))
    throttle.enter("guest", 0.0)
    assert refused(throttle, 0.1) == (429, "Too many concurrent requests in flight (count: 2, allowed: 1).")
    throttle.leave("guest")
    throttle.enter("guest", 0.2)


def test_namespaces_do_not_share():
    throttle = Throttle(Throttles(invocations_per_minute=1, concurrent_invocations=1))
    throttle.enter("guest", 0.0)
    throttle.enter("other", 0.0)
