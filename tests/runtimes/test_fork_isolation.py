"""What fork isolates (and baseline, as the positive control, does not), and how its children end."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

COUNTER = "n = 0\ndef main(args):\n    global n\n    n += 1\n    return {'n': n}\n"
CRASH = """
import os, sys, ctypes
def main(args):
    how = args.get("how")
    if how == "exit": os._exit(3)
    if how == "sys.exit": sys.exit(4)
    if how == "segv": ctypes.string_at(0)
    if how == "kill": os.kill(os.getpid(), 9)
    return {"fine": True}
"""


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize(("scheme", "counts"), [("baseline", [1, 2, 3]), ("fork", [1, 1, 1])])
def test_memory_of_one_request_is_seen_by_the_next_under_baseline_only(start_runtime, scheme, counts):
    runtime = start_runtime(scheme).start(COUNTER)
    assert [runtime.run()["n"] for _ in counts] == counts


@pytest.mark.parametrize(("scheme", "left"), [("baseline", True), ("fork", False)])
def test_environment_of_one_request(start_runtime, scheme, left):
    code = "import os\ndef main(args):\n    return {'id': os.environ.get('__OW_ACTIVATION_ID')}\n"
    runtime = start_runtime(scheme).start(code)
    assert runtime.run(activation_id="first")["id"] == "first"
    assert (runtime.run()["id"] == "first") is left


@pytest.mark.parametrize(("scheme", "found"), [("baseline", True), ("fork", False)])
def test_bytes_of_one_request_in_the_memory_of_the_next(start_runtime, scheme, found):
    code = r"""
import re
def main(args):
    word = re.compile(bytes(reversed(args["reversed"].encode())) + rb"\d\d\d")
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            area, rights = line.split()[:2]
            if rights.startswith("rw"):
                start, end = (int(x, 16) for x in area.split("-"))
                memory.seek(start)
                if word.search(memory.read(end - start)):
                    return {"found": True}
    return {"found": False}
"""
    runtime = start_runtime(scheme).start(code)
    runtime.run({"reversed": "x", "secrets": [f"zq-secret-{n}" for n in range(1000, 5000)]})
    assert runtime.run({"reversed": "-terces-qz"})["found"] is found


def test_two_requests_never_draw_the_same_numbers(start_runtime):
    code = """
import random, ssl, tempfile, uuid, numpy
tempfile.gettempdir(); next(tempfile._get_candidate_names()); numpy.random.random()
def main(args):
    return {"draws": [random.random(), float(numpy.random.random()), ssl.RAND_bytes(8).hex(),
                      next(tempfile._get_candidate_names()), uuid.uuid4().hex]}
"""
    runtime = start_runtime("fork").start(code)
    rows = [runtime.run()["draws"] for _ in range(20)]
    for column in zip(*rows, strict=True):
        assert len(set(column)) == 20


def test_a_seed_of_the_action_counts(start_runtime):
    runtime = start_runtime("fork").start(
        "import random\ndef main(args):\n    random.seed(1)\n    return {'r': random.random()}\n"
    )
    assert runtime.run() == runtime.run()


@pytest.mark.parametrize(
    ("how", "words"),
    [("exit", "exit status 3"), ("sys.exit", "exit status 4"), ("segv", "signal 11"), ("kill", "signal 9")],
)
def test_crash_of_a_child_is_an_error_and_the_container_lives(start_runtime, how, words):
    runtime = start_runtime("fork", __OW_READY_FD="4").start(CRASH)
    assert runtime.run({"how": how}) == {"error": f"command exited: {words}"}
    assert runtime.run() == {"fine": True}


@pytest.mark.parametrize("how", ["exit", "sys.exit", "segv", "kill"])
def test_crash_under_baseline_ends_the_container(start_runtime, how):
    runtime = start_runtime("baseline").start(CRASH)
    answer = runtime.post("/run", {"value": {"how": how}})
    assert (answer.status_code, answer.json()) == (400, {"error": "command exited"})
    assert runtime.post("/run", {"value": {}}).status_code == 500


def test_descendants_are_gone_before_ready(start_runtime):
    code = """
import os, time
def main(args):
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()  # not of our group or session any more, and an orphan at once
        for _ in range(3):
            if os.fork() == 0:
                os.write(write, b"%d " % os.getpid())
                time.sleep(1000)
        os._exit(0)
    pids = b""
    while pids.count(b" ") < 3:
        pids += os.read(read, 100)
    return {"pids": [os.getpid(), *map(int, pids.split())]}
"""
    runtime = start_runtime("fork", __OW_READY_FD="4").start(code)
    pids = runtime.run()["pids"]
    assert len(pids) == 4
    assert runtime.ready().status_code == 200
    assert all(gone(pid) for pid in pids)


def test_background_thread_neither_delays_ready_nor_outlives_its_request(start_runtime):
    code = """
import os, threading
def main(args):
    threading.Thread(target=threading.Event().wait).start()
    return {"pid": os.getpid()}
"""
    runtime = start_runtime("fork", __OW_READY_FD="4").start(code)
    pid = runtime.run()["pid"]
    assert runtime.ready().status_code == 200
    assert gone(pid)


def test_the_next_request_cannot_be_read_from_standard_input(start_runtime):
    code = "import os\ndef main(args):\n    return {'stdin': os.readlink('/proc/self/fd/0')}\n"
    assert start_runtime("fork").start(code).run() == {"stdin": "/dev/null"}


def test_a_child_cannot_tell_ready(start_runtime):
    code = """
import os
def main(args):
    try:
        os.write(4, b"ready\\n")
    except OSError as error:
        return {"errno": error.errno}
"""
    runtime = start_runtime("fork", __OW_READY_FD="4").start(code)
    assert runtime.run()["errno"] == errno.EBADF
