"""The launcher protocol of the published artifact, from Python; results as TAP.

A proxy has a helper child call 550, then starts a worker that serves requests from a pipe. The worker
calls 548 once, before its second request, and 549 before each further one, all from one call site in a
loop; argument 1 as the artifact's description says, or 2 as its launcher does.
"""

# ruff: noqa: INP001  (a program of its own, alone in a guest)
from __future__ import annotations

import ctypes
import itertools
import os
import sys

NR_CHECKPOINT, NR_REWIND, NR_REWINDABLE = 548, 549, 550
REQUESTS = 40
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
seen: list[str] = []


def serve(requests: int, answers: int, argument: int) -> None:
    """The worker's loop; each answer is the generation and all requests that the process remembers."""
    for number in itertools.chain((0, NR_CHECKPOINT), itertools.repeat(NR_REWIND)):
        generation = libc.syscall(number, argument) if number else 0
        if generation < 0:
            os.write(answers, f"error {ctypes.get_errno()} of {number}\n".encode())
            return
        request = os.read(requests, 100).decode()
        if not request:
            return
        seen.append(request)
        os.write(answers, f"{generation} {' '.join(seen)}\n".encode())


def start_worker(argument: int) -> tuple[int, int, int]:
    """A worker on two pipes: its process, where its requests go, where its answers come from."""
    (request_end, requests), (answers, answer_end) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(request_end, 0)
        os.dup2(answer_end, 1)
        for fd in (request_end, requests, answers, answer_end):
            os.close(fd)
        serve(0, 1, argument)
        os._exit(0)
    os.close(request_end)
    os.close(answer_end)
    return child, requests, answers


def problems_of(argument: int) -> list[str]:
    """What was wrong with a run of the protocol."""
    helper = os.fork()
    if helper == 0:
        os._exit(0 if libc.syscall(NR_REWINDABLE) == 0 else 1)
    if os.waitpid(helper, 0)[1]:
        return ["550 failed in a child of the proxy"]
    child, requests, answers = start_worker(argument)
    problems = []
    for number in range(REQUESTS):
        os.write(requests, f"token{number}".encode())
        answer = os.read(answers, 4000).decode().strip()
        # Request 0 came before the checkpoint and is remembered, all others are forgotten.
        known = "token0" if number == 0 else f"token0 token{number}"
        wanted = f"{max(number - 1, 0)} {known}"
        if answer != wanted:
            problems.append(f"request {number}: '{answer}', not '{wanted}'")
            if not answer or answer.startswith("error"):
                break
    os.close(requests)
    status = os.waitpid(child, 0)[1]
    return [*problems, f"the worker ended with status {status}"] if status else problems


failed = 0
print("TAP version 13\n1..2", flush=True)
for index, choice in enumerate((1, 2), start=1):
    found = problems_of(choice)
    for line in found[:5]:
        print(f"#   {line}")
    print(f"{'not ok' if found else 'ok'} {index} argument {choice}", flush=True)
    failed += bool(found)
sys.exit(1 if failed else 0)
