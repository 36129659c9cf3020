"""A file reset service and containers for it, without Docker: root and mount namespaces will do."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

from bench import process
from bench.paths import RUNTIMES

SERVICE = RUNTIMES / "rewind" / "service"
FAKE = Path(__file__).parent / "fake_container.py"
LIMIT_S = 60


class Refused(Exception):  # noqa: N818
    """What code in a container raised."""


class Service:
    """The service as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = contextlib.ExitStack()
        self.start()

    def start(self) -> None:
        argv = [sys.executable, "-B", str(SERVICE), "--folder", str(self.folder)]
        log = self.folder.parent / f"service-{time.monotonic_ns()}.log"
        self.process = self.stack.enter_context(process.running(argv, log=log))
        deadline = time.monotonic() + LIMIT_S
        while "ready" not in log.read_text():
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class FakeContainer:
    """A process with a root of its own; `do` runs code in it."""

    def __init__(self, folder: Path, *extra: str) -> None:
        self.folder = folder
        argv = ["unshare", "--mount", "--ipc", "--propagation", "private", "--"]
        argv += [sys.executable, str(FAKE), str(folder), *extra]
        env = {**os.environ, "PYTHONPATH": str(RUNTIMES / "common")}
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def do(self, code: str) -> object:
        self.process.stdin.write(json.dumps(code) + "\n")
        self.process.stdin.flush()
        said = json.loads(self.process.stdout.readline())
        if "error" in said:
            raise Refused(said["error"])
        return said["result"]

    def checkpoint(self) -> None:
        self.do("files.checkpoint()")

    def reset(self) -> dict[str, int]:
        return self.do("result = files.reset()")

    def state(self) -> dict[str, object]:
        """Everything that a process in it can see of its files."""
        return self.do(STATE)

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(LIMIT_S)


STATE = """
def look(path):
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    found = [oct(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns, status.st_rdev]
    if kind == stat.S_IFREG: found += [status.st_nlink, open(path, "rb").read().decode("latin-1")]
    if kind == stat.S_IFLNK: found.append(os.readlink(path))
    if kind != stat.S_IFLNK:
        names = [n for n in os.listxattr(path)]
        found.append({n: os.getxattr(path, n).decode("latin-1") for n in names})
    return found
result = {}
for where in ("/", "/dev", "/dev/shm", "/dev/mqueue"):
    for path, folders, names in os.walk(where):
        if path == "/": folders.remove("run")
        for name in ["."] + folders + names:
            full = os.path.join(path, name)
            result[full] = look(full)
"""


def make_image(folder: Path) -> Path:
    """Layers of an image, and the other folders of a container; returns `folder`."""
    for name in ("image", "top", "upper", "work", "merged"):
        (folder / name).mkdir(parents=True)
    image = folder / "image"
    for inner in (
        "dev",
        "etc",
        "tmp",
        "run/service",
        "proxy",
        "usr/lib/deep/deeper",
        "gone",
        "data",
        "volume",
    ):
        (image / inner).mkdir(parents=True)
    (folder / "volume").mkdir()
    (image / "tmp").chmod(0o1777)
    for name in (
        "one",
        "two",
        "three",
        "usr/lib/a.so",
        "usr/lib/deep/b",
        "usr/lib/deep/deeper/c",
        "gone/below",
    ):
        (image / name).write_text(f"image's {name}\n" * 100)
    (image / "etc/hosts").touch()
    (folder / "hosts").write_text("127.0.0.1 localhost\n")
    (image / "link").symlink_to("one")
    os.setxattr(image / "three", "user.note", b"kept")
    (image / "three").chmod(0o640)
    os.chown(image / "three", 1, 2)
    os.mkfifo(image / "pipe")
    (image / "big").write_bytes(b"big " * 1000)
    # The topmost layer hides one entry of the image and replaces a folder.
    os.mknod(folder / "top/two", stat.S_IFCHR, 0)
    (folder / "top/data").mkdir()
    (folder / "top/data/of-top").write_text("top\n")
    return folder
