"""Invocations, what goes wrong in them, and their records."""

import base64
import io
import time
import zipfile

import pytest

RESULT = "blocking=true&result=true"
DEVELOPER = "action developer error"
#: With the reason, or with "Check logs for details", by the image's OW_LOG_INIT_ERROR.
NOT_STARTED = ("cannot start action", "the action failed to generate or locate a binary")


def failure(api, code, **limits):
    """Status, kind and text of the failure of an action's call."""
    answer = api.call(api.put(code, limits=limits))
    response = answer.json()["response"]
    assert response["success"] is False
    return answer.status_code, response["status"], response["result"]["error"]


def test_blocking(api, echo):
    answer = api.call(echo, {"x": [1, {"y": "ü\n"}], "f": 1.5, "n": None})
    assert answer.status_code == 200
    record = answer.json()
    assert record["response"]["result"] == {"x": [1, {"y": "ü\n"}], "f": 1.5, "n": None}
    assert record["response"]["status"] == "success"
    assert record["response"]["success"] is True
    assert record["name"] == echo
    assert record["logs"] == []
    assert record["end"] >= record["start"] > time.time() * 1000 - 3_600_000
    assert answer.headers["x-openwhisk-activation-id"] == record["activationId"]
    notes = {a["key"]: a["value"] for a in record["annotations"]}
    assert notes["path"].endswith(f"/{echo}")
    assert notes["kind"].startswith("python:3")
    assert notes["limits"]["timeout"] == 60000
    assert notes["waitTime"] >= 0
    assert notes["timeout"] is False


def test_result_only(api, echo):
    assert api.call(echo, {"a": 1}, RESULT).json() == {"a": 1}


def test_no_body_is_an_empty_object(api, echo):
    assert api.call(echo, query=RESULT, content=b"").json() == {}


def test_non_blocking(api, echo):
    answer = api.call(echo, {"later": True}, "blocking=false")
    assert answer.status_code == 202
    activation_id = answer.json()["activationId"]
    assert answer.headers["x-openwhisk-activation-id"] == activation_id
    assert len(activation_id) == 32
    assert api.record(activation_id)["response"]["result"] == {"later": True}


def test_init_time_only_on_a_cold_start(api):
    name = api.put()
    keys = [{a["key"] for a in api.call(name).json()["annotations"]} for _ in range(2)]
    assert "initTime" in keys[0]
    if "startKind" in keys[0]:  # the real one may start a second container so soon
        assert "initTime" not in keys[1]


def test_parameters_of_the_action_under_those_of_the_call(api):
    name = api.put(parameters=[{"key": "a", "value": 1}, {"key": "b", "value": 2}])
    assert api.call(name, {"b": 3, "c": 4}, RESULT).json() == {"a": 1, "b": 3, "c": 4}


def test_main_names_the_function(api):
    name = api.put("def other(args):\n    return {'other': True}\n", main="other")
    assert api.call(name, query=RESULT).json() == {"other": True}


def test_an_array_is_a_result(api):
    answer = api.call(api.put("def main(args):\n    return [1, 2]\n"), query=RESULT)
    assert (answer.status_code, answer.json()) == (200, [1, 2])


def test_context_in_the_environment(api):
    code = (
        "import os\ndef main(a):\n    return {k: v for k, v in os.environ.items() if k.startswith('__OW_')}\n"
    )
    name = api.put(code)
    answer = api.call(name)
    env = answer.json()["response"]["result"]
    assert env["__OW_ACTION_NAME"].endswith(f"/{name}")
    assert env["__OW_ACTIVATION_ID"] == answer.json()["activationId"]
    assert env["__OW_ACTION_VERSION"] == "0.0.1"
    assert 0 < int(env["__OW_DEADLINE"]) - time.time() * 1000 < 61_000


def test_an_error_key_is_an_application_error(api):
    name = api.put("n = 0\ndef main(args):\n    global n\n    n += 1\n    return {'error': 'no', 'n': n}\n")
    answer = api.call(name)
    assert answer.status_code == 502
    assert answer.json()["response"]["status"] == "application error"
    assert answer.json()["response"]["result"]["error"] == "no"
    assert api.call(name, query=RESULT).status_code == 502


def test_an_exception_is_an_application_error(api):
    status, kind, _ = failure(api, "def main(args):\n    raise ValueError('seven')\n")
    assert (status, kind) == (502, "application error")


def test_no_dictionary(api):
    status, kind, text = failure(api, "def main(args):\n    return 'text'\n")
    assert (status, kind, text) == (502, DEVELOPER, "The action did not return a dictionary or array.")


def test_exit(api):
    status, kind, text = failure(api, "import os\ndef main(args):\n    os._exit(3)\n")
    assert (status, kind) == (502, DEVELOPER)
    assert "command exited" in text


def test_code_that_does_not_compile(api):
    status, kind, text = failure(api, "def main(args:\n")
    assert (status, kind) == (502, DEVELOPER)
    assert text.lower().startswith(NOT_STARTED)


def test_code_that_ends_while_it_loads(api):
    status, kind, text = failure(api, "raise SystemExit(4)\ndef main(args): return {}\n")
    assert (status, kind) == (502, DEVELOPER)
    assert text.lower().startswith(NOT_STARTED)


def test_timeout(api):
    code = "import time\ndef main(args):\n    time.sleep(30)\n    return {}\n"
    begin = time.monotonic()
    status, kind, text = failure(api, code, timeout=1000)
    assert (status, kind) == (502, DEVELOPER)
    assert text == "The action exceeded its time limits of 1000 milliseconds."
    assert time.monotonic() - begin < 15


def test_a_long_result(api):
    status, kind, text = failure(api, "def main(args):\n    return {'x': 'a' * 2000000}\n")
    assert (status, kind) == (502, "application error")
    size = text.split(" allowed length: ")[1].split(" > ")[0]
    assert int(size) >= 2_000_000
    assert " > 1048576 bytes. The truncated response was: " in text


def test_the_action_works_again_after_a_failure(api):
    code = "import os\ndef main(args):\n    if args.get('die'): os._exit(1)\n    return {'alive': True}\n"
    name = api.put(code)
    assert api.call(name, {"die": True}).status_code == 502
    assert api.call(name, query=RESULT).json() == {"alive": True}


def test_binary_code_is_a_zip(api):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("__main__.py", "import helper\ndef main(args):\n    return {'from': helper.WHERE}\n")
        archive.writestr("helper.py", "WHERE = 'zip'\n")
    code = base64.b64encode(packed.getvalue()).decode()
    body = {"exec": {"kind": "python:3", "code": code, "binary": True}}
    assert api("PUT", "actions/contract-zip?overwrite=true", json=body).status_code == 200
    api.made.append("contract-zip")
    assert api.call("contract-zip", query=RESULT).json() == {"from": "zip"}


def test_a_blocking_call_that_outlasts_its_timeout(api):
    name = api.put("import time\ndef main(args):\n    time.sleep(2)\n    return {'late': 1}\n")
    answer = api.call(name, query="blocking=true&timeout=1000")
    assert answer.status_code == 202
    assert api.record(answer.json()["activationId"])["response"]["result"] == {"late": 1}


def test_body_over_the_limit(api, echo):
    body = b'{"x":"' + b"a" * 2_000_000 + b'"}'
    answer = api.call(echo, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"] == f"Request larger than allowed: {len(body)} > 1048576 bytes."


@pytest.mark.parametrize("body", [b"[1]", b'"text"', b"3", b"null"])
def test_body_that_is_no_object(api, echo, body):
    answer = api.call(echo, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"] == "The request content was malformed:\nJSON object expected"


def test_body_that_is_no_json(api, echo):
    answer = api.call(echo, content=b"{,}", headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("The request content was malformed:\n")


def test_activation_list(api):
    name = api.put()
    made = [api.call(name, {"i": i}).json()["activationId"] for i in range(3)]
    for activation_id in made:
        api.record(activation_id)
    listed = api("GET", f"activations?name={name}").json()
    assert {entry["activationId"] for entry in listed} == set(made)
    assert all(entry["statusCode"] == 0 for entry in listed)
    assert all("response" not in entry for entry in listed)
    whole = api("GET", f"activations?name={name}&docs=true").json()
    assert {entry["response"]["result"]["i"] for entry in whole} == {0, 1, 2}
    assert len(api("GET", f"activations?name={name}&limit=2").json()) == 2
    assert len(api("GET", f"activations?name={name}&limit=0").json()) == 3
    starts = [entry["start"] for entry in listed]
    assert starts == sorted(starts, reverse=True)
    assert api("GET", f"activations?name={name}&since={starts[0] + 60_000}").json() == []


def test_a_failed_activation_in_the_list(api):
    name = api.put("import os\ndef main(args): os._exit(1)\n")
    api.record(api.call(name).json()["activationId"])
    assert [e["statusCode"] for e in api("GET", f"activations?name={name}").json()] == [2]


def test_logs_and_result_of_an_activation(api):
    code = "def main(a):\n    print('to out')\n    return {'r': 1}\n"
    activation_id = api.call(api.put(code)).json()["activationId"]
    record = api.record(activation_id)
    assert any(line.endswith("stdout: to out") for line in record["logs"])
    assert api("GET", f"activations/{activation_id}/logs").json() == {"logs": record["logs"]}
    result = api("GET", f"activations/{activation_id}/result").json()
    assert result["result"] == {"r": 1}
    assert result["success"] is True


def test_activation_ids(api):
    answer = api("GET", "activations/abc")
    assert answer.status_code == 400
    assert answer.json()["error"] == "Activation id length is 3 but must be 32."
    assert api("GET", f"activations/{'0' * 32}").status_code == 404
