"""Debian's CPython and numpy as an initramfs tree for the reference process: a cached build step."""

from __future__ import annotations

import shlex

from bench.build.debian import Root, hook, mmdebstrap
from bench.build.step import Step, Work

PACKAGES = ("libopenblas0-pthread", "libstdc++6", "python3-numpy", "python3.11")
TREE_TAR = "python.tar"
LIBRARIES = "usr/lib/x86_64-linux-gnu"

#: No maintainer script runs in a tree that is only unpacked: the BLAS links are made here. What the
#: interpreter never reads goes; the rest is compiled once, so that no boot does it again.
TRIM = rf"""
cd "$1"
for name in libblas.so.3 liblapack.so.3 libopenblas.so.0; do
  ln -sf openblas-pthread/$name {LIBRARIES}/$name
done
rm -rf usr/share usr/include usr/sbin sbin bin/tar usr/bin/perl* usr/bin/x86_64*
(cd {LIBRARIES} && rm -rf perl* gconv libdb-5* libsqlite3*)
(cd usr/lib/python3.11 && rm -rf test idlelib ensurepip pydoc_data)
(cd usr/lib/python3/dist-packages && rm -rf pkg_resources numpy/f2py numpy/distutils)
find usr/lib -type d -name tests -prune -exec rm -rf {{}} +
find . -name __pycache__ -prune -exec rm -rf {{}} +
"""
COMPILE = r"""
chroot "$1" /usr/bin/python3.11 -B -m compileall -q --invalidation-mode unchecked-hash \
  /usr/lib/python3.11 /usr/lib/python3/dist-packages
"""
PACK = r"""
tar -C "$1" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$1/python.tar" \
  $(cd "$1" && ls -d bin lib lib64 usr 2>/dev/null)
"""


def python_tree_step(*, mirror: str = "") -> Step:
    """Products: `python.tar`, to be unpacked at the root of an initramfs."""
    root = Root("extract", PACKAGES)

    def build(work: Work) -> None:
        # The variant "extract" ends before the stage "customize".
        extra = [hook(script, "extract") for script in (TRIM, COMPILE, PACK)]
        extra.append(f"--extract-hook=download /{TREE_TAR} {shlex.quote(str(work.out / TREE_TAR))}")
        mmdebstrap(work, root, "/dev/null", mirror=mirror, extra=extra)

    scripts = [TRIM, COMPILE, PACK]
    return Step("reference-python", build, {**root.inputs(mirror), "scripts": scripts, "version": 3})
