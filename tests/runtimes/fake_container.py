"""A container as far as files go: run in a mount namespace of its own, `fake_container.py FOLDER`.

Mounts an overlay of FOLDER/image with a /dev in memory, a bind-mounted /etc/hosts and the service's
socket, changes its root, and then runs the code that comes in, a line of JSON each.
"""

# Whatever the code may want is imported before the root changes.
# ruff: noqa: F401
import ctypes
import json
import mmap
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
import traceback
from pathlib import Path

import actionloop.filereset

folder = Path(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind, flags=0, data=""):
    words = [str(word).encode() for word in (source, target, kind)]
    if libc.mount(*words, flags, data.encode() or None):
        raise OSError(ctypes.get_errno(), f"mount {target}")


BIND, READ_ONLY, REMOUNT = 4096, 1, 32
root = folder / "merged"
layers = f"lowerdir={folder}/top:{folder}/image,upperdir={folder}/upper,workdir={folder}/work"
mount("overlay", root, "overlay", 0, layers)
mount("tmpfs", root / "dev", "tmpfs")
os.mknod(root / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
for inner in ("shm", "mqueue"):
    (root / "dev" / inner).mkdir()
mount("tmpfs", root / "dev/shm", "tmpfs")
mount("mqueue", root / "dev/mqueue", "mqueue")
mount(folder / "hosts", root / "etc/hosts", "", BIND)
mount(folder / "service/socket", root / "run/service", "", BIND)
mount("none", root / "run/service", "", BIND | REMOUNT | READ_ONLY)
(root / "run/made").mkdir()  # a mount point that only the container's own layer has
mount(folder / "service/socket", root / "run/made", "", BIND)
mount("none", root / "run/made", "", BIND | REMOUNT | READ_ONLY)
for extra in sys.argv[2:]:
    mount(folder / extra, root / extra, "", BIND)
os.chroot(root)
os.chdir("/")
files = actionloop.filereset.FileReset("/run/service/files")
names = globals()
for line in sys.stdin:
    try:
        given = {"result": None}
        exec(json.loads(line), names, given)
        said = {"result": given["result"]}
    except Exception as error:  # noqa: BLE001
        said = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
