"""A real program over many generations: CPython with numpy on a threaded BLAS; results as TAP.

    soak.py GENERATIONS [FLAGS]

The answer to each request must be what the process gave before its checkpoint, to the byte; the pool of
BLAS threads must go on working; bytes from the system's random source must differ.
"""

# ruff: noqa: INP001, PTH123, PTH208, S108, S311, SIM115  (a program of its own, alone in a guest)
from __future__ import annotations

import ctypes
import hashlib
import json
import os
import random
import re
import sys
import threading

import numpy as np

NR_CHECKPOINT, NR_REWIND = 548, 549
GENERATIONS = int(sys.argv[1])
FLAGS = int(sys.argv[2], 0) if len(sys.argv) > 2 else 0
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
seen = os.open("/tmp/soak", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
cache: dict[str, object] = {str(i): [i, str(i) * 3] for i in range(20000)}
big = np.arange(500_000, dtype=float)


def answer(seed: int) -> str:
    """One request: everything that it does follows from its seed."""
    dice = random.Random(seed)
    rows = np.random.RandomState(seed).rand(120, 200)
    product = rows @ rows.T
    words = re.findall(r"\d+", " ".join(sorted(cache)[:500]))
    for _ in range(dice.randrange(100)):
        cache[str(dice.randrange(40000))] = "x" * dice.randrange(2000)
    big[: dice.randrange(1, 20000)] = 7
    kept = [bytearray(dice.randrange(1, 200_000)) for _ in range(dice.randrange(1, 12))]
    text = json.dumps([len(kept), words[:9], f"{product.sum():.6f}", f"{big.sum():.3f}", len(cache)])
    return hashlib.sha256(text.encode()).hexdigest()


def disturb(generation: int) -> None:
    """What requests do besides: threads, children, files."""
    if generation % 7 == 0:
        threading.Thread(target=lambda: threading.Event().wait(), daemon=True).start()
    if generation % 11 == 0:  # not os.fork(): OpenBLAS ends its pool in front of one, for good
        os.posix_spawn("/bench/permit", ["permit"], {})
    if generation % 5 == 0:
        cache["files"] = [open("/dev/null") for _ in range(5)]
        os.chdir("/proc")


def threads() -> int:
    """Threads of the process."""
    return len(os.listdir("/proc/self/task"))


def fail(why: str) -> None:
    """End with a failed result."""
    print(f"#   {why}\nnot ok 1 numpy over {GENERATIONS} generations", flush=True)
    os._exit(1)


def refusal() -> str:
    """Why the kernel refused, in its own words."""
    with open("/proc/self/rewind") as file:
        return next((line.strip() for line in file if line.startswith("refusal")), "no reason given")


def main() -> None:
    """Checkpoint; then answer, compare and rewind until the generations are through."""
    print(f"TAP version 13\n1..1\n# case numpy over {GENERATIONS} generations", flush=True)
    child = os.fork()
    if child == 0:  # what a fresh process answers; a checkpointed one must not differ
        os.write(seen, answer(1).encode())
        os._exit(0)
    os.waitpid(child, 0)
    expected = os.pread(seen, 64, 0).decode()
    np.dot(big[:250_000].reshape(500, 500), big[:250_000].reshape(500, 500))
    pool = threads()
    generation = libc.syscall(NR_CHECKPOINT, FLAGS)
    if generation < 0:
        fail(f"checkpoint: {os.strerror(ctypes.get_errno())}; {refusal()}")
    if threads() != pool:
        fail(f"generation {generation}: {threads()} threads, not {pool}")
    drawn = os.urandom(16)
    if drawn == os.pread(seen, 16, 64):
        fail(f"generation {generation} drew the random bytes of the one before")
    os.pwrite(seen, drawn, 64)
    got = answer(1)
    if got != expected:
        fail(f"generation {generation} answered {got}, not {expected}")
    if generation == GENERATIONS:
        print(f"#   {pool} threads\nok 1 numpy over {GENERATIONS} generations", flush=True)
        return
    disturb(generation)
    libc.syscall(NR_REWIND, FLAGS)
    fail(f"generation {generation}, rewind: {os.strerror(ctypes.get_errno())}; {refusal()}")


main()
