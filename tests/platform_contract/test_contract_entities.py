"""Descriptions, authentication and actions."""

import httpx
import pytest

NOT_THERE = "The requested resource does not exist."


def failed(answer, status, text):
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"code", "error"}
    assert body["error"] == text
    assert answer.headers["X-Request-ID"] == body["code"]


def test_the_api_describes_itself_without_authentication(api):
    body = httpx.get(f"{api.address}/api/v1", trust_env=False).json()
    assert {"api_version", "api_version_path", "build", "buildno", "description", "swagger_paths"} <= set(
        body
    )
    assert body["api_version_path"] == "v1"


def test_ping(api):
    assert httpx.get(f"{api.address}/ping", trust_env=False).text == "pong"


def test_namespaces_are_a_list_of_one(api):
    assert len(api("GET", "/api/v1/namespaces").json()) == 1


def test_limits(api):
    body = api("GET", "limits").json()
    numbers = ["concurrentInvocations", "invocationsPerMinute", "maxActionMemory", "minActionMemory"]
    assert all(isinstance(body[name], int) for name in numbers)
    assert body["maxParameterSize"].endswith("B")


def test_no_authentication(api):
    answer = httpx.get(f"{api.address}/api/v1/namespaces", trust_env=False)
    failed(answer, 401, "The resource requires authentication, which was not supplied with the request")
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="OpenWhisk secure realm"'


@pytest.mark.parametrize("key", [("nobody", "wrong"), ("23bc46b1-71f6-4ed5-8c54-816aa4f8c502", "x")])
def test_wrong_authentication(api, key):
    answer = httpx.get(f"{api.address}/api/v1/namespaces", auth=key, trust_env=False)
    failed(answer, 401, "The supplied authentication is invalid")


def test_somebody_elses_namespace(api):
    answer = api("GET", "/api/v1/namespaces/other/actions")
    failed(answer, 403, "The supplied authentication is not authorized to access 'other'.")


def test_own_namespace_by_its_name(api):
    own = api("GET", "/api/v1/namespaces").json()[0]
    assert api("GET", f"/api/v1/namespaces/{own}/actions").status_code == 200


def test_unknown_path(api):
    failed(api("GET", "/nowhere"), 404, "The requested resource could not be found.")


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_unknown_action(api, method):
    failed(api(method, "actions/not-there"), 404, NOT_THERE)


def test_create_read_update_delete(api):
    name = api.put("def main(a):\n    return {'v': 1}\n", limits={"memory": 128, "timeout": 5000})
    first = api("GET", f"actions/{name}").json()
    assert first["name"] == name
    assert first["version"] == "0.0.1"
    assert first["exec"]["kind"] == "python:3"
    assert first["exec"]["code"] == "def main(a):\n    return {'v': 1}\n"
    assert first["exec"]["binary"] is False
    assert first["limits"]["memory"] == 128
    assert first["limits"]["timeout"] == 5000
    assert {"key": "exec", "value": "python:3"} in first["annotations"]
    assert "code" not in api("GET", f"actions/{name}?code=false").json()["exec"]

    changed = api("PUT", f"actions/{name}?overwrite=true", json={"limits": {"timeout": 6000}}).json()
    assert changed["version"] == "0.0.2"
    assert changed["exec"]["code"] == first["exec"]["code"]
    assert changed["limits"]["memory"] == 128
    assert changed["limits"]["timeout"] == 6000

    assert api("DELETE", f"actions/{name}").json()["name"] == name
    failed(api("GET", f"actions/{name}"), 404, NOT_THERE)


def test_create_over_an_existing_one(api, echo):
    body = {"exec": {"kind": "python:3", "code": "def main(a): return a"}}
    failed(api("PUT", f"actions/{echo}?overwrite=false", json=body), 409, "resource already exists")
    failed(api("PUT", f"actions/{echo}", json=body), 409, "resource already exists")


def test_an_update_takes_effect_on_the_next_call(api):
    name = api.put("def main(a):\n    return {'v': 1}\n")
    assert api.call(name, query="blocking=true&result=true").json() == {"v": 1}
    api.put("def main(a):\n    return {'v': 2}\n", name=name, overwrite="true")
    assert api.call(name, query="blocking=true&result=true").json() == {"v": 2}


def test_the_default_kind(api):
    name = api.put(kind="python:default")
    assert api("GET", f"actions/{name}").json()["exec"]["kind"].startswith("python:3")


def test_unknown_kind(api):
    body = {"exec": {"kind": "python:9", "code": "x"}}
    answer = api("PUT", "actions/contract-kind", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(
        "The request content was malformed:\n"
        "The specified runtime 'python:9' is not supported by this platform. Valid values are: "
    )


def test_too_much_memory(api):
    most = api("GET", "limits").json()["maxActionMemory"]
    asked = most * 2
    body = {"exec": {"kind": "python:3", "code": "x"}, "limits": {"memory": asked}}
    answer = api("PUT", "actions/contract-memory", json=body)
    assert answer.status_code == 400
    wanted = f"requirement failed: memory size {asked} MB exceeds allowed threshold of {most} MB"
    assert wanted in answer.json()["error"]


def test_malformed_body(api):
    answer = api("PUT", "actions/contract-bad", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("The request content was malformed:\n")


def test_list_of_actions(api):
    names = {api.put() for _ in range(3)}
    listed = api("GET", "actions?limit=0").json()
    assert names <= {entry["name"] for entry in listed}
    entry = next(e for e in listed if e["name"] in names)
    assert "code" not in entry.get("exec", {})
    assert {"name", "namespace", "version", "limits", "annotations", "publish", "updated"} <= set(entry)
    assert len(api("GET", "actions?limit=2").json()) == 2
    everything = [e["name"] for e in api("GET", "actions?limit=200").json()]
    assert [e["name"] for e in api("GET", "actions?limit=200&skip=1").json()] == everything[1:]


def test_limit_out_of_range(api):
    failed(
        api("GET", "actions?limit=1000"),
        400,
        "The query parameter 'limit' was malformed:\n"
        "The value '1000' is not in the range of 0 to 200 for actions.",
    )
    assert api("GET", "activations?limit=-1").status_code == 400


@pytest.mark.parametrize("collection", ["packages", "triggers", "rules"])
def test_what_wsk_list_asks_for_beside_actions(api, collection):
    answer = api("GET", f"{collection}?limit=0&skip=0")
    assert answer.status_code == 200
    assert isinstance(answer.json(), list)
