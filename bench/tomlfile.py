"""TOML files into frozen models; every problem of every file at once, with file and key."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError


class Strict(BaseModel):
    """Base of everything read from TOML: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=BaseModel)


def read(path: Path, problems: list[str]) -> dict[str, Any]:
    """The file as a dictionary; what is wrong with it is appended to `problems`."""
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        problems.append(f"{path}: {error.strerror or error}")
    except UnicodeDecodeError:
        problems.append(f"{path}: not UTF-8 text")
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{path}: not valid TOML: {error}")
    return {}


def convert(data: Mapping[str, Any], kind: type[Model], where: str, problems: list[str]) -> Model | None:
    """`data` as a `kind`, or None with one line per faulty key appended to `problems`."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            key = ".".join(str(part) for part in fault["loc"]) or "(file)"
            problems.append(f"{where}: {key}: {_words(fault, kind)}")
        return None


def _words(fault: Mapping[str, Any], kind: type[BaseModel]) -> str:
    if fault["type"] == "extra_forbidden":
        if len(fault["loc"]) == 1:
            return f"unknown key; known keys: {', '.join(sorted(kind.model_fields))}"
        return "unknown key"
    if fault["type"] == "missing":
        return "is required"
    given = fault.get("input")
    shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool) else ""
    return f"{fault['msg']}{shown}"
