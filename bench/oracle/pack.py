"""The oracle's action as a zip: wrapper, the workload's modules, its inputs."""

from __future__ import annotations

import json
from pathlib import Path

from bench.packaging import action_modules, zipped
from bench.plugins import Workload

WRAPPER = Path(__file__).parent / "wrapper.py"


def oracle_code(workload: Workload, size: str) -> bytes:
    """A zip to put as the action's code; ConfigError when the workload cannot be read."""
    modules = action_modules(workload)
    files = {name: path.read_bytes() for name, path in modules.items()}
    files["workload_main.py"] = files.pop("__main__.py")
    files["inputs.json"] = json.dumps(workload.spec.sizes[size]).encode()
    return zipped({"__main__.py": WRAPPER.read_bytes(), **files})
