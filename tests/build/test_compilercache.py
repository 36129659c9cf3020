"""Compiled objects of a kernel build are there for the next one, and builds never share them."""

import subprocess
import threading

import pytest

from bench.build import compilercache
from bench.build.step import Work


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def make(name):
        scratch = tmp_path / name
        scratch.mkdir()
        return Work(tmp_path / "out", scratch, tmp_path / "log", {}, threading.Event())

    return make


def build(one, objects):
    """As a build: what it brings, and what it leaves."""
    (*_, option) = compilercache.bring(one, "plain")
    brought = one.scratch / "ccache-brought"
    assert option == f"--customize-hook=sync-in {brought} {compilercache.INSIDE}"
    found = sorted(path.name for path in brought.iterdir())
    compilercache.take(one)
    for name in objects:
        (one.scratch / "ccache" / name).write_text(name)
    return found


def test_the_next_build_finds_what_the_last_one_left(work):
    first, second = work("first"), work("second")
    assert build(first, ["a"]) == []
    compilercache.keep(first, "plain")
    assert build(second, ["a", "b"]) == ["a"]
    compilercache.keep(second, "plain")
    assert build(work("third"), []) == ["a", "b"]


def test_builds_side_by_side_both_succeed_and_one_of_them_is_kept(work):
    first, second = work("first"), work("second")
    build(first, ["a"])
    build(second, ["b"])
    compilercache.keep(first, "plain")
    compilercache.keep(second, "plain")
    assert build(work("third"), []) == ["b"]


def test_a_build_that_failed_leaves_what_there_was(work):
    first = work("first")
    build(first, ["a"])
    compilercache.keep(first, "plain")
    build(work("second"), ["half"])
    assert build(work("third"), []) == ["a"]


@pytest.mark.parametrize(
    ("name", "text", "compiler"),
    [
        ("a.c", "int a;", "ccache gcc"),
        ("head.S", "nop", "gcc"),
        ("configs.c", 'asm(".incbin \\"config.gz\\"");', "gcc"),
        ("--version", None, "gcc"),
    ],
)
def test_what_takes_in_another_file_is_always_compiled(tmp_path, name, text, compiler):
    tools = tmp_path / "usr" / "local" / "bin"
    tools.mkdir(parents=True)
    subprocess.run(["sh", "-c", compilercache.WRAPPER, "sh", str(tmp_path)], check=True)
    for tool in ("gcc", "ccache"):
        (tools / tool).write_text(f'#!/bin/sh\necho {tool} "$@"\n')
        (tools / tool).chmod(0o755)
    source = name if text is None else str(tmp_path / name)
    if text is not None:
        (tmp_path / name).write_text(text)
    argv = [tools / "kept-gcc", "-c", "-o", "a.o", source]
    said = subprocess.run(
        argv, env={"PATH": f"{tools}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == [*compiler.split(), "-c", "-o", "a.o", source]
