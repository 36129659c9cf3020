"""Writes expected.json of the named workloads (all by default) from their oracles.

    python workloads/regenerate.py [NAME...]

The oracles compute independently of the actions; the tests confirm that both agree.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import tomllib
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent


def regenerate(folder: Path) -> None:
    """Write one workload's expected.json: per size, what was asked and what must be answered."""
    spec = tomllib.loads((folder / "workload.toml").read_text())
    oracle = _module(folder / "oracle.py")
    answers = {
        size: {"params": params, "result": oracle.expected(params)} for size, params in spec["sizes"].items()
    }
    (folder / "expected.json").write_text(json.dumps(answers, indent=1) + "\n")


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(names: list[str]) -> None:
    """Make the input data in a temporary folder, then ask every oracle."""
    folders = sorted(path.parent for path in HERE.glob("*/workload.toml"))
    chosen = [folder for folder in folders if not names or folder.name in names]
    with tempfile.TemporaryDirectory() as data:
        os.environ["REWIND_BENCH_DATA"] = data
        for folder in chosen:
            if (folder / "data.py").is_file():
                _module(folder / "data.py").generate(Path(data) / folder.name)
            regenerate(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
