"""PyPI packages for a CPython 3.11 on Linux, whatever Python runs the harness."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.build.step import Work
from bench.errors import MissingToolError
from bench.paths import ROOT

LOCK = ROOT / "requirements.lock"
PYTHON_VERSION = "3.11"
#: Newest first; Debian 12 has glibc 2.36.
PLATFORMS = (
    "manylinux_2_36_x86_64",
    "manylinux_2_34_x86_64",
    "manylinux_2_31_x86_64",
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_24_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
    "manylinux2010_x86_64",
    "manylinux1_x86_64",
)
#: What a running program never reads.
NEEDLESS_FOLDERS = frozenset({"tests", "__pycache__", "include"})
NEEDLESS_SUFFIXES = frozenset({".pyi", ".pyx", ".pxd", ".h", ".c", ".a", ".hpp"})


def install(work: Work, requirements: Sequence[str], target: Path) -> None:
    """Install wheels and what they need below `target`, at the locked versions, lean.

    Raises BuildError when there is no wheel, MissingToolError without pip and uv.
    """
    target.mkdir(parents=True, exist_ok=True)
    if requirements:
        names = work.scratch / "requirements.txt"
        names.write_text("".join(f"{name}\n" for name in requirements))
        work.run([*_for_image(), "-r", str(names), "-c", str(LOCK), "--target", str(target)], timeout_s=1800)
    strip(target)


def strip(target: Path) -> None:
    """Remove tests, headers, commands and what differs between two installations."""
    for name in ("bin", ".lock"):
        _remove(target / name)
    for path in sorted(target.rglob("*"), reverse=True):
        needless = path.name in NEEDLESS_FOLDERS if path.is_dir() else path.suffix in NEEDLESS_SUFFIXES
        if needless or path.name in {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def installer() -> list[str]:
    """The command that installs packages for this host."""
    if importlib.util.find_spec("pip") is not None:
        quiet = ["--no-compile", "--disable-pip-version-check", "--root-user-action=ignore", "--quiet"]
        return [sys.executable, "-m", "pip", "install", *quiet]
    if shutil.which("uv"):
        return ["uv", "pip", "install", "--quiet"]
    raise MissingToolError("neither pip nor uv is installed", hint="python3 -m ensurepip")


def _for_image() -> list[str]:
    argv = [*installer(), "--only-binary=:all:", f"--python-version={PYTHON_VERSION}"]
    if argv[0] == "uv":
        return [*argv, "--python-platform=x86_64-manylinux_2_36"]
    return [*argv, "--implementation=cp", *(f"--platform={name}" for name in PLATFORMS)]
