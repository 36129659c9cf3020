"""Which of our own modules a program needs, so that its image changes only when they do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from bench.paths import ROOT


def closure(package: str, root: Path = ROOT) -> list[Path]:
    """All files of `package` (dotted) and every module of ours that these import, sorted."""
    folder = root.joinpath(*package.split("."))
    waiting = sorted(folder.rglob("*.py"))
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported(path, root)
            waiting += _parents(path, root)
    return sorted(found)


def _imported(path: Path, root: Path) -> Iterator[Path]:
    top = {child.name for child in root.iterdir() if (child / "__init__.py").is_file()}
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        for name in _names(node, path, root):
            if name.split(".")[0] in top:
                place = root.joinpath(*name.split("."))
                yield from (p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file())


def _names(node: ast.AST, path: Path, root: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        if node.level:  # relative to the package that holds the file
            package = path.relative_to(root).parent.parts[: len(path.relative_to(root).parts) - node.level]
            module = ".".join([*package, *([module] if module else [])])
        yield module
        yield from (f"{module}.{alias.name}" for alias in node.names)


def _parents(path: Path, root: Path) -> Iterator[Path]:
    for folder in path.relative_to(root).parents:
        package = root / folder / "__init__.py"
        if folder != Path() and package.is_file():
            yield package
