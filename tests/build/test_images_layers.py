"""Layers and archives: the same bytes from the same content, and what Docker reads."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile

from bench.build.layers import Image, ImageConfig, write_archive, write_layer


def fill(tree, times):
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "b").write_text("b")
    (tree / "etc" / "a").write_text("a")
    (tree / "tmp").mkdir()
    (tree / "link").symlink_to("etc/a")
    (tree / "run").write_text("#!/bin/sh\n")
    (tree / "run").chmod(0o4755)
    for path in tree.rglob("*"):
        os.utime(path, (times, times), follow_symlinks=False)
    return tree


def test_layer_does_not_depend_on_times_or_order(tmp_path):
    one = write_layer(fill(tmp_path / "one", 1), tmp_path / "one.tar", modes={"tmp": 0o1777})
    two = write_layer(fill(tmp_path / "two", 2_000_000), tmp_path / "two.tar", modes={"tmp": 0o1777})
    assert one.diff_id == two.diff_id == hashlib.sha256(one.path.read_bytes()).hexdigest()


def test_layer_belongs_to_root_without_set_id(tmp_path):
    made = write_layer(fill(tmp_path / "tree", 1), tmp_path / "layer.tar", modes={"tmp": 0o1777})
    with tarfile.open(made.path) as archive:
        members = {member.name: member for member in archive}
    assert {(m.uid, m.gid) for m in members.values()} == {(0, 0)}
    assert members["run"].mode == 0o755
    assert members["tmp"].mode == 0o1777
    assert members["link"].linkname == "etc/a"
    assert list(members) == sorted(members)


def test_archive_stores_a_shared_layer_once_and_names_images_by_content(tmp_path):
    base = write_layer(fill(tmp_path / "base", 1), tmp_path / "base.tar")
    (tmp_path / "top" / "opt").mkdir(parents=True)
    top = write_layer(tmp_path / "top", tmp_path / "top.tar")
    config = ImageConfig(
        env={"A": "1"}, entrypoint=("/run",), labels={"rewind-bench": "1"}, ports=("8080/tcp",)
    )
    images = [Image("one", (base,), config), Image("two", (base, top), config)]
    write_archive(images, tmp_path / "images.tar")
    with tarfile.open(tmp_path / "images.tar") as archive:
        names = archive.getnames()
        listing = json.load(archive.extractfile("manifest.json"))
        assert len(names) == len(set(names)) == 5
        for entry, image in zip(listing, images, strict=True):
            content = archive.extractfile(entry["Config"]).read()
            assert entry["Config"] == f"{hashlib.sha256(content).hexdigest()}.json"
            assert entry["RepoTags"] == [f"rewind-bench/{image.name}:{image.id[:12]}"]
            layers = [archive.extractfile(name).read() for name in entry["Layers"]]
            told = json.loads(content)["rootfs"]["diff_ids"]
            assert told == [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]


def test_name_follows_every_setting(tmp_path):
    base = write_layer(fill(tmp_path / "base", 1), tmp_path / "base.tar")
    ids = {Image("x", (base,), ImageConfig(env={"A": value})).id for value in ("1", "2")}
    assert len(ids) == 2
