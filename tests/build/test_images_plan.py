"""Which images a set of schemes needs, and what their steps depend on."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from bench.build.base import base_step
from bench.build.images import images_step, runtime_folders
from bench.build.sources import closure
from bench.build.step import ensure
from bench.build.wheels import strip
from bench.errors import ConfigError
from bench.plugins import Scheme, SchemeSpec, schemes, workloads

ALL = schemes()


def test_cold_runs_in_the_image_of_baseline():
    assert ALL["cold"].spec.fresh_container
    assert [path.name for path in runtime_folders([ALL["cold"], ALL["baseline"]])] == ["baseline"]


def test_every_scheme_has_an_image():
    for path in runtime_folders(ALL.values()):
        assert (path / "launcher.py").is_file()


def test_unknown_user_missing_launcher_and_program_are_told_together(tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "scheme.toml").write_text('summary = "x"\nprograms = { helper = "new/helper.c" }\n')
    scheme = Scheme("new", folder, SchemeSpec(summary="x"))
    with pytest.raises(ConfigError) as caught:
        images_step([scheme], [], launcher_user="me")
    assert len(caught.value.problems) == 3
    assert any("programs.helper" in problem for problem in caught.value.problems)


def test_step_depends_on_user_and_schemes_but_not_on_their_order():
    both = [ALL["baseline"], ALL["fork"]]
    step = images_step(both, workloads().values())
    assert step.digest == images_step(both[::-1], workloads().values()).digest
    assert step.digest != images_step(both, workloads().values(), launcher_user="root").digest
    assert step.digest != images_step(both[:1], workloads().values()).digest


def test_closure_follows_imports_and_packages(tmp_path):
    for name, text in {
        "ours/__init__.py": "",
        "ours/a/__init__.py": "",
        "ours/a/main.py": "import json\nfrom ours import b\nfrom . import near\n",
        "ours/a/near.py": "from ours.c import thing\n",
        "ours/b.py": "",
        "ours/c.py": "import ours.d\nthing = 1\n",
        "ours/d.py": "",
        "ours/unused.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = {str(path.relative_to(tmp_path / "ours")) for path in closure("ours.a", tmp_path)}
    assert found == {"__init__.py", "a/__init__.py", "a/main.py", "a/near.py", "b.py", "c.py", "d.py"}


def test_strip_keeps_what_runs(tmp_path):
    names = [
        "p/__init__.py",
        "p/x.so",
        "p/x.pyi",
        "p/tests/t.py",
        "p/include/x.h",
        "bin/p",
        "p-1.dist-info/METADATA",
    ]
    for name in [*names, "p-1.dist-info/RECORD", "p/__pycache__/x.pyc"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    strip(tmp_path)
    left = {str(Path(p).relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {"p/__init__.py", "p/x.so", "p-1.dist-info/METADATA"}


@pytest.mark.docker  # of the slow kind: it may have to build the base layer
@pytest.mark.timeout(900)
def test_bytecode_of_the_base_layer_does_not_depend_on_this_machine():
    found = 0
    with tarfile.open(ensure(base_step()).file("layer.tar")) as archive:
        for member in archive:
            if member.name.endswith(".pyc"):
                found += 1
                content = archive.extractfile(member).read()
                assert content[4:8] == b"\x01\0\0\0", member.name  # by hash, unchecked
                assert b"scratch" not in content, member.name
    assert found > 100
