"""Compiled objects of earlier kernel builds (ccache), so that a changed patch costs what it touches.

A folder per kind of kernel in the build cache. A build takes a copy along and leaves another in its
place when it has succeeded, so builds side by side never share one and a killed one harms none. It
changes no product: what ccache returns is what the same compiler made of the same source.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from bench.build.debian import hook
from bench.build.step import Work
from bench.paths import cache_dir

INSIDE = "/ccache"
MAX_SIZE = "300M"
#: Headers are judged by content: all are as new as the unpacked tree. Which ones a file includes tells
#: the compiler, not a run of the preprocessor before it, which is a sixth of a build with nothing kept.
ENVIRONMENT = (
    f"CCACHE_DIR={INSIDE} CCACHE_MAXSIZE={MAX_SIZE} CCACHE_COMPILERCHECK=content CCACHE_DEPEND=1 "
    "CCACHE_SLOPPINESS=include_file_mtime,include_file_ctime"
)
#: For make's command line.
COMPILER = "CC=kept-gcc"
#: Without a run of the preprocessor ccache does not see that a file takes in another with .incbin (the
#: packed kernel, its configuration): such a one, and all assembly, is always compiled.
WRAPPER = """
cat > "$1/usr/local/bin/kept-gcc" <<'END'
#!/bin/sh
for source; do :; done
case "$source" in
*.c) if ! grep -q incbin "$source"; then exec ccache gcc "$@"; fi ;;
esac
exec gcc "$@"
END
chmod 755 "$1/usr/local/bin/kept-gcc"
"""


def folder_of(kind: str) -> Path:
    """Where the objects of such kernels are."""
    return cache_dir() / "ccache" / kind


def bring(work: Work, kind: str) -> list[str]:
    """Options of mmdebstrap that copy the objects in."""
    brought = work.scratch / "ccache-brought"
    brought.mkdir()
    with contextlib.suppress(OSError, shutil.Error):  # replaced meanwhile: what there was is as good
        shutil.copytree(folder_of(kind), brought, copy_function=os.link, dirs_exist_ok=True)
    return [hook(f'mkdir -p "$1{INSIDE}"'), hook(WRAPPER), f"--customize-hook=sync-in {brought} {INSIDE}"]


def take(work: Work) -> list[str]:
    """Options of mmdebstrap that copy them out again, to be kept by `keep`."""
    _taken(work).mkdir()
    return [f"--customize-hook=sync-out {INSIDE} {_taken(work)}"]


def keep(work: Work, kind: str) -> None:
    """Put what a successful build left in the place of what it brought."""
    target, old = folder_of(kind), work.scratch / "ccache-before"
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # none yet, or another build was faster: its objects are as good
        target.rename(old)
    with contextlib.suppress(OSError):
        _taken(work).rename(target)


def _taken(work: Work) -> Path:
    return work.scratch / "ccache"
