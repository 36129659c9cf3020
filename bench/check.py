"""Whether an action's result is the right one.

Every workload has expected.json: per size the parameters asked and the result due, computed by its
oracle.py independently of the action. Keys, lengths, strings, booleans and integers must be
equal; floating-point numbers within the workload's relative tolerance.
"""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

from bench.errors import ConfigError, WrongResultError
from bench.plugins import Workload

SHOWN_CHARACTERS = 80


class Expected(msgspec.Struct, frozen=True):
    """What a workload must answer."""

    result: Any
    rel_tolerance: float = 0.0


class _Entry(msgspec.Struct, frozen=True):
    params: dict[str, Any]
    result: Any


def expected(workload: Workload, size: str) -> Expected:
    """What `workload` must answer at `size`.

    Raises ConfigError when the size is unknown, or expected.json was not made for its parameters.
    """
    path = workload.folder / "expected.json"
    again = f"run 'python workloads/regenerate.py {workload.name}'"
    if size not in workload.spec.sizes:
        known = ", ".join(workload.spec.sizes)
        raise ConfigError([f"{workload.folder}/workload.toml: no size '{size}'"], hint=f"sizes: {known}")
    try:
        entry = msgspec.json.decode(path.read_bytes(), type=dict[str, _Entry])[size]
    except (OSError, KeyError, msgspec.DecodeError) as error:
        raise ConfigError([f"{path}: no expected result for size '{size}' ({error})"], hint=again) from error
    if entry.params != workload.spec.sizes[size]:
        raise ConfigError([f"{path}: made for other parameters than workload.toml's '{size}'"], hint=again)
    return Expected(entry.result, workload.spec.rel_tolerance)


def mismatch(actual: Any, due: Expected) -> str:
    """Why `actual` is not the result due, in one line; "" when it is."""
    return _differs("result", actual, due.result, due.rel_tolerance)


def mismatch_in_body(body: bytes, due: Expected) -> str:
    """The same for a reply's body; one that is not JSON is a mismatch, not an error."""
    try:
        actual = json.loads(body)
    except (ValueError, RecursionError):
        return f"result is not JSON: {_shown(body)}"
    return mismatch(actual, due)


def verify(actual: Any, due: Expected, what: str) -> None:
    """Raise WrongResultError unless `actual` is the result due; `what` names the action."""
    reason = mismatch(actual, due)
    if reason:
        raise WrongResultError(
            f"'{what}' answered wrongly: {reason}",
            hint="the scheme corrupts state, or the container's packages are not the pinned ones",
        )


def _differs(where: str, actual: Any, due: Any, rel_tolerance: float) -> str:
    if isinstance(due, dict):
        return _differs_mapping(where, actual, due, rel_tolerance)
    if isinstance(due, list):
        return _differs_list(where, actual, due, rel_tolerance)
    if isinstance(due, float):
        return _differs_number(where, actual, due, rel_tolerance)
    # True == 1 in Python, not in JSON
    if type(actual) is not type(due) or actual != due:
        return f"{where} is {_shown(actual)}, must be {_shown(due)}"
    return ""


def _differs_mapping(where: str, actual: Any, due: dict[str, Any], rel_tolerance: float) -> str:
    if not isinstance(actual, dict):
        return f"{where} is {_shown(actual)}, must be an object"
    for problem, keys in (
        ("lacks", due.keys() - actual.keys()),
        ("has too much", actual.keys() - due.keys()),
    ):
        if keys:
            return f"{where} {problem}: {_shown(', '.join(sorted(keys)))}"
    parts = (_differs(f"{where}.{key}", actual[key], due[key], rel_tolerance) for key in due)
    return next(filter(None, parts), "")


def _differs_list(where: str, actual: Any, due: list[Any], rel_tolerance: float) -> str:
    if not isinstance(actual, list):
        return f"{where} is {_shown(actual)}, must be an array"
    if len(actual) != len(due):
        return f"{where} has {len(actual)} elements, must have {len(due)}"
    parts = (_differs(f"{where}[{i}]", actual[i], value, rel_tolerance) for i, value in enumerate(due))
    return next(filter(None, parts), "")


def _differs_number(where: str, actual: Any, due: float, rel_tolerance: float) -> str:
    # an integer will do: other JSON writers drop ".0"
    if isinstance(actual, bool) or not isinstance(actual, int | float):
        return f"{where} is {_shown(actual)}, must be a number"
    if not math.isclose(actual, due, rel_tol=rel_tolerance):
        return f"{where} is {_shown(actual)}, must be {due!r} within {rel_tolerance:g}"
    return ""


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
