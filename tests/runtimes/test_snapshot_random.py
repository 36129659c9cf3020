"""A program that does random things to its memory is put back byte for byte, seen from outside."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from bench.paths import RUNTIMES

HERE = Path(__file__).parent
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror")
PAGE = 4096
GENERATIONS = 40
SEEDS = (1, 2, 3)


def compiled(target, sources, *more):
    subprocess.run(["gcc", *FLAGS, *more, "-o", str(target), *map(str, sources)], check=True)
    return target


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("random")
    sources = (RUNTIMES / "snapshot" / "src").glob("*.c")
    return (
        compiled(folder / "snapshotter", sources, "-static"),
        compiled(folder / "random_memory", [HERE / "random_memory.c"]),
    )


def await_read(pid):
    """Until the process waits in read(0, …): then it does nothing."""
    deadline = time.monotonic() + 20
    while not Path(f"/proc/{pid}/syscall").read_text().startswith("0 0x0 "):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def image(pid):
    """All regions joined where they touch, and the content of each readable by ptrace's rules."""
    layout, content = [], {}
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            words = line.split(maxsplit=5)
            start, end = (int(word, 16) for word in words[0].split("-"))
            name = words[5] if len(words) > 5 else ""
            if name.startswith("[v"):
                continue
            kind = (words[1], words[3], words[4], "" if name.startswith("[anon") else name)
            offset = int(words[2], 16) - start if words[4] != "0" else 0
            if layout and layout[-1][1] == start and layout[-1][2:] == (kind, offset):
                layout[-1] = (layout[-1][0], end, kind, offset)
            else:
                layout.append((start, end, kind, offset))
            for page in range(start, end, PAGE):
                memory.seek(page)
                content[page] = memory.read(PAGE)
    return layout, content


def kernel_state(pid):
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return (
        [line for line in status if line.startswith(("SigBlk", "SigIgn", "SigCgt", "Umask", "Threads"))],
        sorted(path.name for path in Path(f"/proc/{pid}/fd").iterdir()),
        Path(f"/proc/{pid}/task/{pid}/children").read_text(),
    )


@pytest.mark.slow
@pytest.mark.parametrize("tracker", ["auto", "compare"])
@pytest.mark.parametrize("seed", SEEDS)
def test_memory_is_restored_byte_for_byte(programs, tmp_path, tracker, seed):
    snapshotter, program = programs
    (tmp_path / "file").write_bytes(os.urandom(16 * PAGE))
    told, tell = os.pipe()
    process = subprocess.Popen(
        [program, snapshotter, tmp_path / "file"],
        stdin=subprocess.PIPE,
        env={
            "GLIBC_TUNABLES": "glibc.pthread.rseq=0",  # where the kernel writes the CPU's number
            "__OW_SNAPSHOT_TRACKER": tracker,
            "__OW_SNAPSHOT_RECORD": str(tmp_path / "record"),
        },
        preexec_fn=lambda: os.dup2(tell, 4),  # noqa: PLW1509
        close_fds=False,
    )
    os.close(tell)
    try:
        launcher = await_child(process.pid)
        await_read(launcher)
        first = None
        for generation in range(GENERATIONS):
            number = (seed * 1_000_003 + generation) * 0x9E3779B97F4A7C15 % (1 << 64)
            process.stdin.write(number.to_bytes(8, "little"))
            process.stdin.flush()
            said = os.read(told, 200)
            assert said == b"ready\n", (said, generation)
            await_read(launcher)
            now = (*image(launcher), kernel_state(launcher))
            first = first or now
            assert now[0] == first[0], generation
            changed = [hex(page) for page in first[1] if now[1].get(page) != first[1][page]]
            assert not changed, generation
            assert now[2] == first[2], generation
    finally:
        process.stdin.close()
        assert process.wait(timeout=20) == 0
        os.close(told)


def await_child(pid):
    deadline = time.monotonic() + 20
    children = Path(f"/proc/{pid}/task/{pid}/children")
    while not (found := children.read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return int(found[0])
