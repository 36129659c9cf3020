"""A container image from pieces of this machine: its Python and shell, the proxy, the tests' launcher."""

import hashlib
import io
import re
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

HERE = Path(__file__).parent / "image"
IGNORED = {"test", "tests", "__pycache__", "site-packages", "idlelib", "ensurepip", "lib2to3", "tkinter"}


def libraries(binary):
    """Shared libraries of a program, with the loader, as ldd lists them."""
    listed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    return {Path(p) for p in re.findall(r"(/\S+)", listed)}


def make(proxy):
    """The image's tar file as bytes."""
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    stdlib = Path(sysconfig.get_path("stdlib"))
    native = [*stdlib.glob("lib-dynload/*.so")]
    wanted = {python, Path("/bin/sh"), Path("/bin/cat")}
    for binary in [python, Path("/bin/sh"), Path("/bin/cat"), *native]:
        wanted |= libraries(binary)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:

        def add(path, name=None):
            info = tar.gettarinfo(str(path.resolve()), str(name or path))
            info.mtime = 0
            with path.open("rb") as file:
                tar.addfile(info, file)

        for path in sorted(wanted):
            add(path)
        for path in sorted(stdlib.rglob("*.*")):
            if path.suffix in (".py", ".so") and not IGNORED & set(path.relative_to(stdlib).parts):
                add(path)
        add(proxy, "/proxy")
        for name in ("compile", "compile.py", "launcher.py"):
            add(HERE / name, f"/image/{name}")
        for name, target in (("/usr/bin/python3", python), ("/bin/python3", python)):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, str(target)
            tar.addfile(link)
        for name in ("/tmp", "/action", "/dev/shm"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(folder)
    return out.getvalue()


def load(client, proxy):
    """Import the image unless it is there; its name."""
    data = make(proxy)
    name = f"rewind-bench-test-action:{hashlib.sha256(data).hexdigest()[:12]}"
    if not client.images.list(name=name):
        repository, _, tag = name.partition(":")
        client.api.import_image_from_data(
            data,
            repository=repository,
            tag=tag,
            changes=[
                "ENV OW_COMPILER=/image/compile PATH=/usr/bin:/bin __OW_WAIT_FOR_ACK=1",
                'CMD ["/proxy"]',
            ],
        )
    return name
