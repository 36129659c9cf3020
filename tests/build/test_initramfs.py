"""The cpio writer, checked by the system's own cpio reader where there is one, else by its layout."""

import shutil
import subprocess

import pytest

from bench.build.initramfs import Initramfs


def archive():
    made = Initramfs()
    made.file("/bin/tool", b"#!/bin/sh\n", mode=0o755)
    made.link("/sbin", "bin")
    return made


def test_same_entries_give_same_bytes_whatever_their_order():
    other = Initramfs()
    other.link("/sbin", "bin")
    other.file("bin/tool", b"#!/bin/sh\n", mode=0o755)
    assert other.pack() == archive().pack()


def test_every_record_is_aligned_and_the_end_is_marked():
    data = archive().pack()
    assert len(data) % 4 == 0
    assert data.startswith(b"070701")
    assert b"TRAILER!!!\0" in data[-32:]


@pytest.mark.skipif(not shutil.which("busybox"), reason="no busybox")
def test_a_cpio_reader_finds_files_links_and_parents(tmp_path):
    archive().write(tmp_path / "archive")
    with (tmp_path / "archive").open("rb") as file:
        listing = subprocess.run(["busybox", "cpio", "-t", "-v"], stdin=file, capture_output=True, check=True)
    text = listing.stdout.decode()
    assert "drwxr-xr-x" in text
    assert "bin/tool" in text
    assert "sbin -> bin" in text
    assert "dev/console" in text


def test_tree_keeps_modes_and_links(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "run").write_text("x")
    (tmp_path / "sub" / "run").chmod(0o700)
    (tmp_path / "link").symlink_to("sub/run")
    made = Initramfs()
    made.tree(tmp_path, "/opt")
    data = made.pack()
    assert b"opt/sub/run\0" in data
    assert b"opt/link\0" in data
    assert b"%08X" % 0o100700 in data
