"""The oracle's action: the workload, and after it the damage that a careless or hostile request does.

Runs in the container as `__main__`, beside the workload's own modules and `inputs.json`. Deterministic
workloads answer alike with no restore at all, so each request alters, after its work, what the next one
computes from; before its work it says what it found altered.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import workload_main  # type: ignore[import-not-found]  # put beside this file by bench.oracle.pack

INPUTS_FILE = Path(__file__).parent / "inputs.json"
#: The workload's input objects, alive from one request to the next as a cached model or dataset is.
INPUTS: dict[str, Any] = json.loads(INPUTS_FILE.read_text())
#: One request's word in a global variable.
NOTES: list[str] = []
SEED = "rewind-bench oracle"
FOREIGN_STATE = random.Random(SEED).getstate()  # noqa: S311  compared, never drawn from
FOLDER = Path.cwd()
DESCRIPTOR = 117
VARIABLE = "REWIND_BENCH_ORACLE"
SCRATCH = Path("/tmp")  # noqa: S108  a container's own, where every user may write
NEW_FILE = SCRATCH / "rewind-bench-oracle-new"
OLD_FILE = SCRATCH / "rewind-bench-oracle-old"
OLD_CONTENT = "as it was before any request"
OLD_FILE.write_text(OLD_CONTENT)
REAL_MAIN: Callable[[Any], Any] = workload_main.main


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Say what is altered, do the workload's work, do the damage; `nonce` comes back as it is."""
    found = residues(args["inputs"])
    answer: dict[str, Any] = {"nonce": args["nonce"], "residues": found}
    try:
        answer["result"] = workload_main.main(INPUTS)
    except Exception as error:  # noqa: BLE001  damaged inputs may break a workload in any way
        answer["raised"] = f"{type(error).__name__}: {error}"
    damage(str(args["nonce"]))
    return answer


def residues(inputs: dict[str, Any]) -> list[str]:
    """Which aspects another request has altered."""
    checks = {
        "globals": bool(NOTES) or workload_main.main is not REAL_MAIN,
        "inputs": inputs != INPUTS,
        "random": random.getstate() == FOREIGN_STATE,
        "environment": VARIABLE in os.environ,
        "folder": Path.cwd() != FOLDER,
        "descriptor": _is_open(DESCRIPTOR),
        "new file": NEW_FILE.exists(),
        "changed file": not OLD_FILE.exists() or OLD_FILE.read_text() != OLD_CONTENT,
    }
    return [name for name, altered in checks.items() if altered]


def damage(note: str) -> None:
    """Alter all of them."""
    NOTES.append(note)
    for name, value in vars(workload_main).items():
        if isinstance(value, int | float) and name.isupper():
            setattr(workload_main, name, value + 1)
    workload_main.main = falsified
    for key, value in INPUTS.items():
        INPUTS[key] = altered(value)
    random.seed(SEED)
    os.environ[VARIABLE] = note
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, DESCRIPTOR)
    os.close(null)
    for path in (NEW_FILE, OLD_FILE):
        path.write_text(note)


def falsified(args: Any) -> Any:
    """What stands in the place of the workload's function from the second request on."""
    result = REAL_MAIN(args)
    return {**result, "falsified": True} if isinstance(result, dict) else None


def altered(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}?" if isinstance(value, str) else value


def _is_open(descriptor: int) -> bool:
    with contextlib.suppress(OSError):
        os.fstat(descriptor)
        return True
    return False
