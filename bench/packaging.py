"""A workload as the code of an OpenWhisk action.

An action that is one file goes as its source. One that imports modules of its own folder or of
workloads/common goes as a zip with `__main__.py` and those modules beside it: found by reading
the import statements, so an oracle or a data recipe never travels along.
"""

from __future__ import annotations

import ast
import base64
import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from bench.errors import ConfigError
from bench.plugins import Workload

#: Zip members carry a date: a fixed one, so that equal sources make equal archives.
EPOCH = (1980, 1, 1, 0, 0, 0)


class ActionCode(msgspec.Struct, frozen=True):
    """The part of a REST action's `exec` that is the code."""

    code: str
    binary: bool
    main: str = "main"


def action_code(workload: Workload) -> ActionCode:
    """The code of `workload`: source text, or base64 of a zip. Raises ConfigError when it cannot be read."""
    modules = action_modules(workload)
    if len(modules) == 1:
        return ActionCode(workload.main.read_text(), binary=False)
    archive = zipped({name: path.read_bytes() for name, path in modules.items()})
    return ActionCode(base64.b64encode(archive).decode(), binary=True)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip archive; equal files in equal order make equal archives."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(entry, content)
    return archive.getvalue()


def action_modules(workload: Workload) -> dict[str, Path]:
    """The files of the action by their name in the archive, `__main__.py` first."""
    modules = {"__main__.py": workload.main}
    pending = [workload.main]
    while pending:
        for name in _imports(pending.pop()):
            path = _own_module(workload, name)
            if path is not None and path not in modules.values():
                modules[path.name] = path
                pending.append(path)
    return modules


def _own_module(workload: Workload, name: str) -> Path | None:
    for folder in (workload.folder, workload.folder.parent / "common"):
        path = folder / f"{name}.py"
        if path.is_file():
            return path
    return None


def _imports(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (OSError, SyntaxError, ValueError) as error:
        raise ConfigError([f"{path}: {error}"], hint="an action must be valid Python") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
