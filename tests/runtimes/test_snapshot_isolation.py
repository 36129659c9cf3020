"""What the user-level snapshot puts back, seen through the proxy."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from bench.paths import RUNTIMES

SOURCE = RUNTIMES / "snapshot"
FLAGS = ("-O2", "-static", "-std=gnu11", "-Wall", "-Wextra", "-Werror")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("snapshot") / "scheme"
    shutil.copytree(SOURCE, made, ignore=shutil.ignore_patterns("__pycache__"))
    sources = sorted(str(path) for path in (SOURCE / "src").glob("*.c"))
    subprocess.run(["gcc", *FLAGS, "-o", str(made / "snapshotter"), *sources], check=True)
    return made


@pytest.fixture(params=["auto", "compare"])
def start(request, folder, start_runtime, tmp_path):
    def started(code, **env):
        settings = {"__OW_READY_FD": "4", "__OW_SNAPSHOT_TRACKER": request.param}
        record = {"__OW_SNAPSHOT_RECORD": str(tmp_path / "record")}
        running = start_runtime(folder, **(settings | record | env))
        return running.start(code)

    started.record = lambda: [json.loads(line) for line in (tmp_path / "record").read_text().splitlines()]
    return started


def again(running, value=None):
    """A request and its restore."""
    reply = running.run(value)
    assert running.ready().json()["ready"] is True
    return reply


def test_globals_of_the_module(start):
    running = start("""
kept = []
count = 0
def main(args):
    global count
    count += 1
    kept.append(count)
    return {"count": count, "kept": kept}
""")
    assert [again(running) for _ in range(5)] == [{"count": 1, "kept": [1]}] * 5


def test_memory_of_every_kind(start):
    """Heap, bss of libc, arrays, mapped, unmapped and protected regions."""
    running = start("""
import ctypes, mmap
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
number = ctypes.c_int
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, number, number, number, ctypes.c_long)
for name in ("munmap", "mprotect"):
    getattr(libc, name).argtypes = (ctypes.c_void_p, ctypes.c_size_t, number)[: 2 + (name == "mprotect")]
libc.sbrk.restype = ctypes.c_void_p
libc.sbrk.argtypes = (ctypes.c_long,)
libc.strtok.restype = ctypes.c_char_p
PAGE, PRIVATE = 4096, 0x22
def new(pages, protection=3):
    return libc.mmap(None, pages * PAGE, protection, PRIVATE, -1, 0)
def put(address, text):
    ctypes.memmove(address, text, len(text))
region, removed, locked = new(8), new(4), new(4)
for address in (region, removed, locked):
    put(address, b"before")
libc.mprotect(locked, 4 * PAGE, 1)
words = ctypes.create_string_buffer(b"one two three")
libc.strtok(words, b" ")
shared = mmap.mmap(-1, PAGE)
shared[:6] = b"before"
def regions():
    with open("/proc/self/maps") as file:
        return len(file.readlines())
def main(args):
    start_break = libc.sbrk(0)
    seen = {
        "region": ctypes.string_at(region, 6).decode(), "removed": ctypes.string_at(removed, 6).decode(),
        "locked": ctypes.string_at(locked, 6).decode(), "shared": shared[:6].decode(),
        "fresh": ctypes.string_at(region + PAGE, 1) == bytes(1),
        "bss": libc.strtok(None, b" ").decode(), "break": start_break,
    }
    put(region, b"after!"); put(region + PAGE, b"x")
    libc.munmap(removed, 4 * PAGE)
    libc.mprotect(locked, 2 * PAGE, 3); put(locked, b"after!")
    shared[:6] = b"after!"
    for _ in range(5): new(3, 3 if _ % 2 else 1)
    libc.sbrk(1 << 20)
    libc.mprotect(region + 4 * PAGE, PAGE, 0)
    return seen
""")
    replies = [again(running) for _ in range(4)]
    assert replies == [replies[0]] * 4
    wanted = dict.fromkeys(("region", "removed", "locked", "shared"), "before")
    assert replies[0] | wanted | {"fresh": True, "bss": "two"} == replies[0]


def test_state_in_the_kernel(start):
    """Threads, children, signal mask and actions, working folder, umask, descriptors."""
    running = start("""
import os, signal, subprocess, threading, time
def handler(*_): pass
def main(args):
    seen = {
        "threads": len(os.listdir("/proc/self/task")),
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "usr1": signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL,
        "folder": os.getcwd(), "umask": os.umask(0o77),
        "descriptors": sorted(os.listdir("/proc/self/fd")),
    }
    try: os.waitpid(-1, os.WNOHANG)
    except ChildProcessError: seen["children"] = 0
    with open("/proc/self/status") as file:
        seen["caught"] = [line for line in file if line.startswith(("SigCgt", "SigIgn"))]
    for _ in range(3): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()
    subprocess.Popen(["sleep", "1000"])
    subprocess.Popen("sleep 1000 & setsid sleep 1000 &", shell=True).wait()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    signal.signal(signal.SIGUSR1, handler)
    os.chdir("/"); os.open("/", os.O_RDONLY)
    return seen
""")
    replies = [again(running) for _ in range(3)]
    assert replies == [replies[0]] * 3
    assert replies[0]["threads"] == 1
    assert replies[0]["children"] == 0


def test_arrays_and_registers(start):
    running = start("""
import ctypes, numpy as np
libm = ctypes.CDLL("libm.so.6")
array = np.arange(1 << 20, dtype=np.float64)
def main(args):
    seen = {"sum": float(array.sum()), "rounding": libm.fegetround(), "third": 1.0 / 3.0}
    array[:] = -1; array.resize(1 << 21, refcheck=False)
    libm.fesetround(0xC00)
    return seen
""")
    want = {"sum": float(sum(range(1 << 20))), "rounding": 0, "third": 1 / 3}
    assert [again(running) for _ in range(3)] == [want] * 3


def test_threads_of_the_import_live_on(start):
    running = start("""
import queue, threading
todo, done = queue.Queue(), queue.Queue()
count = 0
def work():
    global count
    while True:
        item = todo.get(); count += 1; done.put((item, count))
threading.Thread(target=work, daemon=True).start()
def main(args):
    todo.put(args["n"])
    return {"reply": done.get(timeout=20)}
""")
    assert [again(running, {"n": n})["reply"] for n in range(6)] == [[n, 1] for n in range(6)]


def test_random_numbers_differ(start):
    running = start("""
import os, random, ssl, tempfile, uuid
import numpy as np
def main(args):
    return {"random": random.random(), "numpy": float(np.random.random()), "ssl": ssl.RAND_bytes(8).hex(),
            "name": tempfile.mktemp(), "kernel": os.urandom(8).hex()}
""")
    replies = [again(running) for _ in range(5)]
    for key in replies[0]:
        assert len({reply[key] for reply in replies}) == 5, key


@pytest.mark.slow
def test_a_thousand_generations(start):
    running = start("""
import json, random
table = {str(n): list(range(n)) for n in range(100)}
def main(args):
    random.seed(args["n"])
    result = sum(sum(v) for v in table.values()) + random.randrange(1000)
    table.clear()
    return {"result": result, "text": json.dumps({"n": args["n"]} )}
""")
    for n in range(1000):
        random.seed(n)
        want = sum(sum(range(k)) for k in range(100)) + random.randrange(1000)
        assert again(running, {"n": n}) == {"result": want, "text": json.dumps({"n": n})}
    assert len(start.record()) == 1001


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("import os; os.closerange(5, 50)", "descriptor"),
        ("import os; os.dup2(1, control)", "descriptor"),
        ("import ctypes; gone()", "mapped again"),
    ],
)
def test_what_cannot_be_restored_ends_the_container(start, harm, reason):
    running = start(f"""
import mmap, ctypes, os
shared = mmap.mmap(-1, 4096)
fds = "/proc/self/fd/"
control = next(int(n) for n in os.listdir(fds) if "socket" in os.path.realpath(fds + n))
def gone():
    address = ctypes.addressof(ctypes.c_char.from_buffer(shared))
    ctypes.CDLL(None).munmap(ctypes.c_void_p(address), 4096)
def main(args):
    if args.get("harm"):
        {harm}
    return {{"ok": 1}}
""")
    assert again(running) == {"ok": 1}
    assert running.run({"harm": True}) == {"ok": 1}
    answer = running.ready()
    assert answer.status_code == 503
    assert reason in answer.text
    assert running.post("/run", {"value": {}}).status_code == 500


def test_death_of_the_launcher_and_of_the_manager(start):
    code = "import os\ndef main(args): return {'launcher': os.getpid(), 'manager': os.getppid()}"
    for victim in ("launcher", "manager"):
        running = start(code)
        pids = again(running)
        os.kill(pids[victim], signal.SIGKILL)
        _await_end(pids)
        answer = running.post("/run", {"value": {}})
        assert answer.status_code in (400, 500)
        assert "exited" in answer.text


def test_death_of_the_proxy(start):
    running = start("import os\ndef main(args): return {'launcher': os.getpid(), 'manager': os.getppid()}")
    pids = again(running)
    running.process.kill()
    _await_end(pids)


def test_kills_at_random_moments(start):
    """Whenever it comes, a request is answered rightly or fails, and nothing stays behind."""
    chance = random.Random(7)
    code = "import os\nn = 0\ndef main(args):\n global n\n n += 1\n"
    code += " return {'n': n, 'launcher': os.getpid(), 'manager': os.getppid()}"
    for victim in ("launcher", "manager") * 3:
        running = start(code)
        pids = again(running)
        del pids["n"]
        timer = threading.Timer(chance.uniform(0, 0.05), os.kill, (pids[victim], signal.SIGKILL))
        timer.start()
        while (answer := running.post("/run", {"value": {}})).status_code == 200:
            assert answer.json()["n"] == 1
        assert answer.status_code in (400, 500)
        _await_end(pids)


def _await_end(pids):
    deadline = time.monotonic() + 20
    for role, pid in pids.items():
        while (state := _state(pid)) not in "ZX":
            assert time.monotonic() < deadline, f"the {role} is still there: {state}"
            time.sleep(0.01)


def _state(pid):
    """One letter; X when there is none any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def test_an_action_that_cannot_be_snapshotted_is_refused(folder, start_runtime):
    running = start_runtime(folder, __OW_READY_FD="4")
    answer = running.init("import subprocess\nsubprocess.Popen(['sleep', '1000'])\ndef main(a): return {}")
    assert answer.status_code == 502
    assert "started a process" in answer.text


def test_an_unknown_tracker_is_refused(folder, start_runtime):
    running = start_runtime(folder, __OW_SNAPSHOT_TRACKER="magic")
    answer = running.init("def main(a): return {}")
    assert answer.status_code == 502
    assert "magic" in answer.text


def test_without_descriptor_4(folder, start_runtime):
    """As behind OpenWhisk's own proxy: the launcher not reading its input is what holds."""
    running = start_runtime(folder).start("n = 0\ndef main(a):\n global n\n n += 1\n return {'n': n}")
    assert [running.run() for _ in range(20)] == [{"n": 1}] * 20
