"""The oracle's action outside of any container: under reuse of the process every workload must fail it."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench import check, plugins
from bench.oracle import ASPECTS, Answer, judge, oracle_code
from bench.plugins import Scheme, SchemeSpec

WORKLOADS = plugins.workloads()
#: Calls the action as often as lines come, in one process: warm reuse.
SERVE = """
import importlib.util, json, os, sys
os.chdir(sys.argv[1])
spec = importlib.util.spec_from_file_location("main__", sys.argv[1] + "/__main__.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
for name in ("NEW_FILE", "OLD_FILE"):
    getattr(module, name).unlink(missing_ok=True)
module.OLD_FILE.write_text(module.OLD_CONTENT)
for line in sys.stdin:
    print(json.dumps(module.main(json.loads(line))), flush=True)
"""


def scheme(*, isolates: bool, leaves: tuple[str, ...] = ()) -> Scheme:
    return Scheme("mine", Path(), SchemeSpec(summary="", isolates=isolates, leaves=leaves))


def unpacked(name: str, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(oracle_code(WORKLOADS[name], "tiny"))) as archive:
        archive.extractall(folder)
    return folder


def serve(folder: Path, name: str, nonces: list[str]) -> list[Answer]:
    inputs = WORKLOADS[name].spec.sizes["tiny"]
    lines = "\n".join(json.dumps({"nonce": nonce, "inputs": inputs}) for nonce in nonces)
    argv = [sys.executable, "-B", "-c", SERVE, str(folder)]
    done = subprocess.run(argv, input=lines, capture_output=True, text=True, timeout=120, check=True)
    due = check.expected(WORKLOADS[name], "tiny")
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    return [Answer.of(reply, nonce, due, "one") for reply, nonce in zip(replies, nonces, strict=True)]


@pytest.mark.parametrize("name", [n for n, w in WORKLOADS.items() if not (w.folder / "data.py").is_file()])
def test_reuse_of_the_process_is_noticed_on_every_workload(tmp_path, name):
    first, *others = serve(unpacked(name, tmp_path), name, ["a", "b", "c"])
    assert first.altered == ()
    for answer in others:
        assert set(answer.altered) == set(ASPECTS)
    assert judge([first, *others], scheme(isolates=False)) == []


def test_a_fresh_process_for_each_request_passes(tmp_path):
    folder = unpacked("hello", tmp_path)
    answers = [answer for nonce in "abc" for answer in serve(folder, "hello", [nonce])]
    assert judge(answers, scheme(isolates=True)) == []


def test_a_scheme_that_corrupts_fails_and_what_it_openly_leaves_does_not(tmp_path):
    answers = serve(unpacked("hello", tmp_path), "hello", ["a", "b"])
    said = judge(answers, scheme(isolates=True, leaves=("files",)))
    assert any(problem.startswith("result altered in 1 of 2 requests") for problem in said)
    assert not any("file" in problem.split(" altered")[0] for problem in said)
    assert any("new file" in problem for problem in judge(answers, scheme(isolates=True)))


def test_a_blind_oracle_is_a_failure():
    clean = [Answer("one", (), "")] * 3
    (said,) = judge(clean, scheme(isolates=False))
    assert "did not notice" in said
    assert "result" in said


def test_an_answer_that_belongs_to_another_request_is_wrong():
    due = check.Expected({"x": 1})
    crossed = Answer.of({"nonce": "a", "residues": [], "result": {"x": 1}}, "b", due, "one")
    assert "another request" in crossed.wrong
    assert Answer.of({"error": "command exited"}, "b", due, "one").wrong


@pytest.fixture(autouse=True)
def no_leftovers():
    yield
    for path in Path("/tmp").glob("rewind-bench-oracle-*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
