import msgspec
import pytest

from bench.platforms.embedded.records import Activation, Answer, init_failure, run_outcome

LIMIT = 1000


def outcome(body, status=200):
    return run_outcome(Answer(status, body, len(body)), LIMIT)


def text(found):
    return msgspec.json.decode(found.result)["error"]


@pytest.mark.parametrize("body", [b'{"a": 1}\n', b"[]", b"{}", b'{"nested": {"error": 1}}'])
def test_a_dictionary_or_array_is_a_success(body):
    found = outcome(body)
    assert (found.status, found.healthy) == ("success", True)
    assert msgspec.json.decode(found.result) == msgspec.json.decode(body)


def test_an_error_key_is_an_application_error_and_keeps_the_container():
    found = outcome(b'{"error": {"code": 3}, "x": 1}')
    assert (found.status, found.healthy) == ("application error", True)
    assert msgspec.json.decode(found.result) == {"error": {"code": 3}, "x": 1}


@pytest.mark.parametrize("body", [b"", b"garbage", b"3", b'{"a": ', b"[1", b'{"a": NaN}', b"\xff\xfe"])
def test_garbage_is_a_developer_error_and_costs_the_container(body):
    found = outcome(body)
    assert (found.status, found.healthy) == ("action developer error", False)
    assert text(found).startswith("The action did not produce a valid JSON response")


def test_what_the_proxy_says_is_passed_on():
    found = outcome(b'{"error":"command exited"}', 400)
    assert (found.status, found.healthy, text(found)) == ("action developer error", False, "command exited")


def test_a_failed_init():
    found = init_failure(Answer(502, b'{"error":"no permission"}', 25))
    assert (found.status, text(found)) == ("action developer error", "no permission")
    found = init_failure(Answer(500, b"<html>", 6))
    assert text(found) == "The action failed during initialization: <html>"


def test_a_result_over_the_limit_is_an_application_error():
    found = run_outcome(Answer(200, b'{"x":"' + b"a" * 994, 5000), LIMIT)
    assert found.status == "application error"
    assert text(found).startswith(
        "The action produced a response that exceeded the allowed length: 5000 > 1000 bytes."
        ' The truncated response was: {"x":"aaa'
    )


def test_lines_of_a_request_that_was_sent_again_stay_in_order():
    """Those of the container that was lost may come last, or never."""
    activation = Activation("id", None, "guest", 0, "", when_ended=list)
    lost, served = activation.log_part(), activation.log_part()
    served.append("served")
    assert activation.logs == ["served"]
    lost.append("lost")
    assert activation.logs == ["lost", "served"]
