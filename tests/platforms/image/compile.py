"""MAIN SRC BIN -> BIN/exec, which runs the tests' launcher on the source: one file or an unpacked zip."""

import sys
from pathlib import Path

name, source, binary = sys.argv[1:]
for file in Path(source).rglob("*"):
    inside = file.relative_to(source)
    if inside.name in {"exec", "__main__.py"}:
        code = file.read_text()
        compile(code, "main__.py", "exec")  # a fault shows now, as with the real compile step
        inside = Path("main__.py")
    if file.is_file():
        target = Path(binary) / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
launcher = Path(__file__).with_name("launcher.py")
program = Path(binary) / "exec"
program.write_text(f"#!/bin/sh\nexec python3 -S -E '{launcher}' '{binary}' '{name}'\n")
