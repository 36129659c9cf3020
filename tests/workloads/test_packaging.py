"""A workload becomes the code of an action: text when it is one file, a zip when it has modules."""

import base64
import io
import json
import os
import subprocess
import sys
import zipfile

import pytest

from bench.check import expected, mismatch
from bench.errors import ConfigError
from bench.packaging import action_code
from bench.plugins import Workload, workloads

WORKLOADS = workloads()
CALL = """\
import json, runpy, sys
main = runpy.run_path(sys.argv[1])["main"]
print(json.dumps(main(json.loads(sys.argv[2]))))
"""


@pytest.mark.parametrize("name", WORKLOADS)
def test_packaged_action_answers_away_from_the_repository(name, input_data, tmp_path):
    packaged = action_code(WORKLOADS[name])
    place = tmp_path / "action"
    if packaged.binary:
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(packaged.code))) as archive:
            archive.extractall(place)
    else:
        place.mkdir()
        (place / "__main__.py").write_text(packaged.code)
    params = WORKLOADS[name].spec.sizes["tiny"] | {"scratch": str(tmp_path)}
    argv = [sys.executable, "-c", CALL, str(place / "__main__.py"), json.dumps(params)]
    env = {"REWIND_BENCH_DATA": str(input_data), "PYTHONPATH": str(place), "PATH": os.environ["PATH"]}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, check=True)
    assert mismatch(json.loads(done.stdout), expected(WORKLOADS[name], "tiny")) == ""


def test_only_what_the_action_imports_travels():
    packaged = action_code(WORKLOADS["imgproc"])
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(packaged.code))) as archive:
        assert archive.namelist() == ["__main__.py", "storage.py"]


def test_equal_sources_make_equal_archives():
    assert action_code(WORKLOADS["imgproc"]) == action_code(WORKLOADS["imgproc"])


def test_modules_are_followed_through_modules(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "main.py").write_text("import one\ndef main(args):\n    return {}\n")
    (folder / "one.py").write_text("from two import x\nimport json\n")
    (folder / "two.py").write_text("import one\nx = 1\n")
    (folder / "oracle.py").write_text("")
    packaged = action_code(Workload("mine", folder, WORKLOADS["hello"].spec))
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(packaged.code))) as archive:
        assert sorted(archive.namelist()) == ["__main__.py", "one.py", "two.py"]


def test_source_that_is_not_python_is_a_config_error(tmp_path):
    (tmp_path / "main.py").write_text("def main(args: oops\n")
    with pytest.raises(ConfigError, match=r"main\.py"):
        action_code(Workload("broken", tmp_path, WORKLOADS["hello"].spec))
