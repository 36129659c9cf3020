"""A real program over many generations; results as TAP.

    soak.py PROGRAM GENERATIONS [FLAGS]

The answer to each request must be what a fresh process gives, to the byte; the pools of threads that were
there at the checkpoint must go on working; bytes from the system's random source must differ.
"""

# ruff: noqa: INP001, PTH123, PTH208, S108, SIM115  (a program of its own, alone in a guest)
from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import threading

from soak_programs import PROGRAMS

NR_CHECKPOINT, NR_REWIND = 548, 549
PROGRAM = sys.argv[1]
GENERATIONS = int(sys.argv[2])
FLAGS = int(sys.argv[3], 0) if len(sys.argv) > 3 else 0
TITLE = f"{PROGRAM} over {GENERATIONS} generations"
SEED = 1
DIGEST_BYTES = 64
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
seen = os.open("/tmp/soak", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
answer = PROGRAMS[PROGRAM]()
garbage: list[object] = []


def digest(seed: int) -> str:
    """The answer to a request, in 64 characters."""
    return hashlib.sha256(answer(seed).encode()).hexdigest()


def disturb(generation: int) -> None:
    """What requests do besides: other requests' work, threads, children, files."""
    if generation % 3 == 0:
        answer(SEED + generation)
    if generation % 7 == 0:
        threading.Thread(target=lambda: threading.Event().wait(), daemon=True).start()
    if generation % 11 == 0:  # not os.fork(): OpenBLAS ends its pool in front of one, for good
        os.posix_spawn("/bench/permit", ["permit"], {})
    if generation % 5 == 0:
        garbage.append([open("/dev/null") for _ in range(5)])
        os.chdir("/proc")


def threads() -> int:
    """Threads of the process."""
    return len(os.listdir("/proc/self/task"))


def fail(why: str) -> None:
    """End with a failed result."""
    print(f"#   {why}\nnot ok 1 {TITLE}", flush=True)
    os._exit(1)


def refusal() -> str:
    """Why the kernel refused, in its own words."""
    with open("/proc/self/rewind") as file:
        return next((line.strip() for line in file if line.startswith("refusal")), "no reason given")


def fresh_answer() -> str:
    """What a process answers first; told through the file, as no pool of threads outlives a fork."""
    child = os.fork()
    if child == 0:
        os.write(seen, digest(SEED).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return os.pread(seen, DIGEST_BYTES, 0).decode()


def main() -> None:
    """Checkpoint; then answer, compare and rewind until the generations are through."""
    print(f"TAP version 13\n1..1\n# case {TITLE}", flush=True)
    expected = fresh_answer()
    if len(expected) != DIGEST_BYTES:
        fail("a fresh process gave no answer")
    start_pools()
    pool = threads()
    generation = libc.syscall(NR_CHECKPOINT, FLAGS)
    if generation < 0:
        fail(f"checkpoint: {os.strerror(ctypes.get_errno())}; {refusal()}")
    if threads() != pool:
        fail(f"generation {generation}: {threads()} threads, not {pool}")
    drawn = os.urandom(16)
    if drawn == os.pread(seen, 16, DIGEST_BYTES):
        fail(f"generation {generation} drew the random bytes of the one before")
    os.pwrite(seen, drawn, DIGEST_BYTES)
    got = digest(SEED)
    if got != expected:
        fail(f"generation {generation} answered {got}, not {expected}")
    if threads() != pool:
        fail(f"generation {generation}: its pools had to be started anew, {threads()} threads, not {pool}")
    if generation == GENERATIONS:
        print(f"#   {pool} threads\nok 1 {TITLE}", flush=True)
        return
    disturb(generation)
    libc.syscall(NR_REWIND, FLAGS)
    fail(f"generation {generation}, rewind: {os.strerror(ctypes.get_errno())}; {refusal()}")


def start_pools() -> None:
    """Answer once in vain: what changes stays out of the way of the answers that count."""
    global answer  # noqa: PLW0603
    answer(SEED)
    answer = PROGRAMS[PROGRAM]()


main()
