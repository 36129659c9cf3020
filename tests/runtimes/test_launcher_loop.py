"""Proxy and launcher together, for every scheme that runs on any kernel: platform.md's rules."""

from __future__ import annotations

import base64
import concurrent.futures
import io
import zipfile

import pytest

SENTINEL = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"
ECHO = "def main(args):\n    return args\n"


@pytest.fixture(params=["baseline", "fork"])
def runtime(request, start_runtime):
    return start_runtime(request.param, __OW_READY_FD="4")


def zipped(files: dict[str, str]) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return base64.b64encode(buffer.getvalue()).decode()


def test_init_and_run(runtime):
    runtime.start(ECHO)
    assert runtime.run({"a": [1, "ü"]}) == {"a": [1, "ü"]}
    assert runtime.init(ECHO).status_code == 403


def test_other_function_and_binary_source(runtime):
    code = base64.b64encode(b"def handler(args):\n    return {'ok': True}\n").decode()
    runtime.start(code, main="handler", binary=True)
    assert runtime.run() == {"ok": True}


def test_request_sets_environment_for_the_action_only_as_given(runtime):
    runtime.start("import os\ndef main(args):\n    return dict(os.environ)\n", TEXT="a", NUMBER=3)
    environ = runtime.run(activation_id="abc", deadline=17, namespace="guest", api_key="k")
    assert environ["TEXT"] == "a"
    assert environ["NUMBER"] == "3"
    assert environ["__OW_ACTIVATION_ID"] == "abc"
    assert environ["__OW_DEADLINE"] == "17"
    assert environ["__OW_API_KEY"] == "k"
    assert "PATH" not in environ
    assert "OW_COMPILER" not in environ


def test_array_is_a_result_and_others_are_not(runtime):
    runtime.start("def main(args):\n    return args['give']\n")
    assert runtime.run({"give": [1, 2]}) == [1, 2]
    for value in (5, "text", None, True):
        answer = runtime.post("/run", {"value": {"give": value}})
        assert answer.status_code == 502
        assert answer.json() == {"error": "The action did not return a dictionary or array."}
    assert runtime.run({"give": {}}) == {}


def test_exception_is_an_error_with_its_traceback_in_the_log(runtime):
    runtime.start("def main(args):\n    raise ValueError('no such thing')\n")
    assert runtime.run() == {"error": "no such thing"}
    assert "Traceback" in runtime.log()
    assert "in main" in runtime.log()


@pytest.mark.parametrize(
    "value", ["{'a': object()}", "{'a': float('nan')}", "{'a': '\\ud800'}", "{(1, 2): 3}"]
)
def test_what_is_not_json_is_an_error_and_the_container_lives(runtime, value):
    runtime.start(f"def main(args):\n    return {value} if args else {{'fine': 1}}\n")
    assert "error" in runtime.run({"x": 1})
    assert runtime.run() == {"fine": 1}


def test_request_that_is_not_json_is_an_error_and_the_container_lives(runtime):
    runtime.start(ECHO)
    assert "error" in runtime.post("/run", b"garbage").json()
    assert runtime.run({"a": 1}) == {"a": 1}


def test_log_ends_with_the_sentinel_after_what_the_action_printed(runtime):
    runtime.start(
        "import sys\ndef main(args):\n    print('out')\n    print('err', file=sys.stderr)\n    return {}\n"
    )
    for _ in range(3):
        runtime.run()
    lines = runtime.log().split("\n")
    assert lines.count("out") == lines.count("err") == 3
    assert lines.count(SENTINEL) == 6
    assert max(lines.index("out"), lines.index("err")) < lines.index(SENTINEL)


def test_two_megabytes(runtime):
    runtime.start("def main(args):\n    return {'big': 'x' * 2_000_000, 'got': len(args.get('big', ''))}\n")
    reply = runtime.run({"big": "y" * 2_000_000})
    assert len(reply["big"]) == reply["got"] == 2_000_000


def test_requests_at_the_same_time_never_mix(runtime):
    runtime.start(ECHO)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda n: runtime.run({"n": n}), range(64)))
    assert [reply["n"] for reply in replies] == list(range(64))


def test_ready_tells_how_long_it_took(runtime):
    runtime.start(ECHO)
    assert runtime.ready().json() == {"ready": True, "busy_ns": None}
    runtime.run()
    first = runtime.ready().json()
    assert first["ready"]
    assert first["busy_ns"] > 0


@pytest.mark.parametrize("scheme", ["baseline", "fork"])
def test_descriptor_4_is_left_alone_under_a_proxy_without_it(start_runtime, scheme):
    # 5 asks our proxy for nothing, and the launcher finds no pipe
    for value in ("5", ""):
        runtime = start_runtime(scheme, __OW_READY_FD=value).start(ECHO)
        assert runtime.run({"a": 1}) == {"a": 1}
        assert runtime.run({"a": 2}) == {"a": 2}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def main(args:\n", "SyntaxError"),
        ("import no_such_module\n", "ModuleNotFoundError"),
        ("def other(args):\n    return {}\n", "has no function 'main'"),
        ("main = 5\n", "has no function 'main'"),
        ("import os\nos._exit(1)\n", "exited abruptly"),
    ],
)
def test_code_that_cannot_start_is_502_with_the_reason(runtime, code, reason):
    answer = runtime.init(code)
    assert answer.status_code == 502
    assert reason in answer.json()["error"]
    assert runtime.post("/run", {"value": {}}).status_code == 500


def test_zip_with_modules(runtime):
    action = "import helper\ndef main(args):\n    return {'v': helper.V}\n"
    runtime.start(zipped({"__main__.py": action, "helper.py": "V = 7\n"}), binary=True)
    assert runtime.run() == {"v": 7}


@pytest.mark.parametrize("activated", [True, False])
def test_zip_with_virtualenv(runtime, activated):
    files = {
        "__main__.py": "import extra\ndef main(args):\n    return {'v': extra.V}\n",
        "virtualenv/lib/python3.11/site-packages/extra.py": "V = 8\n",
    }
    if activated:
        files["virtualenv/bin/activate_this.py"] = (
            "import os, sys\n"
            "base = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))\n"
            "sys.path.insert(0, os.path.join(base, 'lib', 'python3.11', 'site-packages'))\n"
        )
    runtime.start(zipped(files), binary=True)
    assert runtime.run() == {"v": 8}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"other.py": "x"}, "Zip file does not include __main__.py"),
        (
            {"__main__.py": "def main(a):\n    return {}\n", "virtualenv/x": ""},
            "Zip file does not include 'activate_this.py'",
        ),
    ],
)
def test_bad_zip_is_502_with_the_reason(runtime, files, reason):
    answer = runtime.init(zipped(files), binary=True)
    assert answer.status_code == 502
    assert reason in answer.json()["error"]


@pytest.mark.parametrize("main", ["a b", "x;touch /tmp/x", "1a", "a'b", "../x"])
def test_main_must_be_a_name(runtime, main):
    answer = runtime.init(ECHO, main=main)
    assert answer.status_code == 502
    assert "is not the name of a function" in answer.json()["error"]


def test_garbage_on_descriptor_3_never_becomes_another_answer(runtime):
    runtime.start("import os\ndef main(args):\n    os.write(3, b'{\"forged\": 1}\\n')\n    return args\n")
    assert runtime.run({"n": 1}) == {"forged": 1}  # its own answer, forged by itself
    second = runtime.post("/run", {"value": {"n": 2}})
    assert second.status_code == 500
    assert second.json() == {"error": "command exited"}


def test_programs_of_the_action_do_not_get_the_reply_channel(runtime):
    code = """
import subprocess
def main(args):
    return {"status": [subprocess.run(["/bin/sh", "-c", f"echo x >&{fd}"], close_fds=False).returncode
                       for fd in (3, 4)]}
"""
    assert 0 not in runtime.start(code).run()["status"]
    assert 0 not in runtime.run()["status"]
