"""Schemes on the REWIND kernel, where the kernel is another one: they never serve."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from bench.build.cprogram import FLAGS
from bench.paths import RUNTIMES
from bench.plugins import schemes

CODE = "def main(args): return {}"
KERNEL_SCHEMES = sorted({s.runtime for s in schemes().values() if s.spec.needs_kernel})


@pytest.fixture(scope="session")
def permit(tmp_path_factory):
    program = tmp_path_factory.mktemp("permit") / "permit"
    subprocess.run(["gcc", *FLAGS, "-o", program, RUNTIMES / "common" / "permit.c"], check=True)
    return program


@pytest.fixture(params=KERNEL_SCHEMES)
def scheme(request):
    return request.param


@pytest.fixture
def folder(scheme, tmp_path):
    made = tmp_path / "scheme"
    shutil.copytree(RUNTIMES / scheme, made, ignore=shutil.ignore_patterns("__pycache__"))
    return made


def test_a_kernel_without_rewind_fails_the_permission(folder, permit, start_runtime):
    shutil.copy(permit, folder / "permit")
    running = start_runtime(folder, __OW_READY_FD="4")
    answer = running.init(CODE)
    assert answer.status_code == 502
    assert "the kernel has no REWIND" in answer.json()["error"]
    assert running.post("/run", {"value": {}}).status_code == 500


def test_a_kernel_without_rewind_fails_the_checkpoint(scheme, folder, start_runtime):
    """Where nobody asked for the permission, the launcher finds out itself; or that no service answers."""
    running = start_runtime(folder, __OW_READY_FD="4")
    answer = running.init(CODE)
    assert answer.status_code == 502
    if scheme == "rewind-mem":
        assert "checkpoint: Function not implemented" in answer.json()["error"]
    else:
        assert "no file reset service at /run/rewind-bench/files" in answer.json()["error"]
    assert running.post("/run", {"value": {}}).status_code == 500
