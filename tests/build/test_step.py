"""Build steps: cached by content, whole or absent, and clear when the disk is full."""

import errno
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from bench.build import cache
from bench.build.digest import digest_of
from bench.build.step import Step, Work, ensure
from bench.errors import BuildError, DiskFullError


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REWIND_BENCH_CACHE", str(tmp_path / "cache"))


def writer(text):
    def build(work: Work) -> None:
        (work.out / "file").write_text(text)

    return build


def test_product_is_built_once_and_found_again():
    calls = []

    def build(work):
        calls.append(1)
        (work.out / "file").write_text("x")

    first = ensure(Step("thing", build, {"version": 1}))
    again = ensure(Step("thing", build, {"version": 1}))
    assert first == again
    assert first.file("file").read_text() == "x"
    assert len(calls) == 1


def test_changed_input_gives_another_product(tmp_path):
    source = tmp_path / "source"
    source.write_text("1")
    one = Step("thing", writer("1"), {"source": source}).digest
    source.write_text("2")
    assert Step("thing", writer("2"), {"source": source}).digest != one


def test_changed_need_changes_the_digest_of_all_above():
    def chain(version):
        low = Step("low", writer("low"), {"version": version})
        return Step("top", writer("top"), needs={"mid": Step("mid", writer("mid"), needs={"low": low})})

    assert chain(1).digest == chain(1).digest != chain(2).digest


@pytest.mark.parametrize(
    ("one", "other"),
    [(["ab", "c"], ["a", "bc"]), ("1", 1), (True, 1), ({"a": "b"}, ["a", "b"]), ("", None), (b"x", "x")],
)
def test_different_inputs_never_look_the_same(one, other):
    assert digest_of(one) != digest_of(other)


def test_folder_digest_ignores_times_but_not_names_modes_and_links(tmp_path):
    folder = tmp_path / "folder"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "a").write_text("a")
    before = digest_of(folder)
    os.utime(folder / "a", (1, 1))
    (folder / "__pycache__" / "x").write_text("x")
    assert digest_of(folder) == before
    (folder / "a").chmod(0o755)
    executable = digest_of(folder)
    (folder / "b").symlink_to("a")
    assert len({before, executable, digest_of(folder)}) == 3


def test_failed_build_leaves_nothing_but_the_log():
    def build(work):
        (work.out / "half").write_text("half")
        work.run(["sh", "-c", "echo the reason; exit 3"])

    step = Step("bad", build)
    with pytest.raises(BuildError, match="the reason") as caught:
        ensure(step)
    assert str(step.slot.log) in caught.value.hint
    assert "the reason" in step.slot.log.read_text()
    assert not step.slot.path.exists()
    assert not step.slot.temporary.exists()


def _build_forever(root, ready):
    os.environ["REWIND_BENCH_CACHE"] = root

    def build(work):
        (work.out / "half").write_text("half")
        ready.send(1)
        signal.pause()

    ensure(Step("killed", build))


def test_killed_build_leaves_no_product_and_its_leftovers_are_removed(tmp_path):
    mine, theirs = multiprocessing.Pipe()
    child = multiprocessing.Process(target=_build_forever, args=(str(tmp_path / "cache"), theirs))
    child.start()
    assert mine.poll(30)
    step = Step("killed", writer("whole"))
    assert cache.remove_leftovers() == []  # its builder lives
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert not step.cached()
    assert cache.remove_leftovers() == [step.slot.temporary]
    assert ensure(step).file("file").read_text() == "whole"


def _build_once(root, barrier, log):
    os.environ["REWIND_BENCH_CACHE"] = root

    def build(work):
        with Path(log).open("a") as file:
            file.write("built\n")
        (work.out / "file").write_text("x")

    barrier.wait()
    ensure(Step("shared", build))


def test_two_processes_build_it_once(tmp_path):
    barrier = multiprocessing.Barrier(4)
    log = tmp_path / "log"
    args = (str(tmp_path / "cache"), barrier, str(log))
    children = [multiprocessing.Process(target=_build_once, args=args) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert log.read_text() == "built\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_in_python_is_one_clear_error(number):
    def build(work):
        raise OSError(number, os.strerror(number))

    with pytest.raises(DiskFullError, match="building thing"):
        ensure(Step("thing", build))


def test_full_disk_in_a_command_is_one_clear_error():
    def build(work):
        work.run(["dd", "if=/dev/zero", "of=/dev/full", "count=1"])

    step = Step("thing", build)
    with pytest.raises(DiskFullError) as caught:
        ensure(step)
    assert caught.value.hint
    assert not step.slot.temporary.exists()


def test_stop_ends_a_running_command():
    stop = threading.Event()

    def build(work):
        threading.Timer(0.1, stop.set).start()
        work.run(["sleep", "60"])

    start = time.monotonic()
    with pytest.raises(BuildError, match="stopped"):
        ensure(Step("slow", build), stop=stop)
    assert time.monotonic() - start < 20


def big(work):
    (work.out / "big").write_bytes(os.urandom(1 << 20))


def test_trim_drops_the_least_recently_used_and_never_the_kept():
    products = [ensure(Step(f"p{n}", big)) for n in range(3)]
    for age_s, product in zip((300, 200, 100), products, strict=True):
        when = time.time() - age_s
        os.utime(product.path / cache.META_NAME, (when, when))
    dropped = cache.trim(2 << 20, keep=[products[0].path], spared_s=50)
    assert dropped == [products[1].path, products[2].path]
    assert products[0].path.is_dir()


def test_trim_spares_what_was_just_used():
    product = ensure(Step("p", big))
    assert cache.trim(0) == []
    assert product.path.is_dir()
