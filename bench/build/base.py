"""The base layer of all images: Debian 12's Python 3.11 and what it needs to run, nothing to install.

The root file system is unpacked from Debian packages (no maintainer scripts), thinned, and packed as a
layer, all without root. Its own Python, started through its own dynamic loader, compiles the bytecode,
so that it does not depend on the Python of the host.
"""

from __future__ import annotations

import copy
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

from bench.build.debian import Root, mmdebstrap
from bench.build.layers import write_layer
from bench.build.step import Step, Work

LAYER_NAME = "layer.tar"
PYTHON = "usr/bin/python3.11"
#: Where Debian's Python looks for packages that did not come with it.
PACKAGES_FOLDER = "usr/local/lib/python3.11/dist-packages"

DEBIAN = Root(
    "extract",
    (
        "base-files",
        "coreutils",
        "dash",
        "findutils",
        "grep",
        "libc-bin",
        "libgcc-s1",
        "libpython3.11-stdlib",
        "libstdc++6",
        "procps",
        "python3-minimal",
        "python3.11",
        "sed",
        "util-linux",
    ),
)

#: Folders that Debian has as links into /usr.
MERGED = ("bin", "sbin", "lib", "lib64")
DROPPED = """
    boot dev home media mnt opt proc run srv sys tmp root var
    etc/apt etc/cron.d etc/cron.daily etc/default etc/dpkg etc/init.d etc/logrotate.d etc/pam.d etc/perl
    etc/security etc/systemd
    usr/games usr/include usr/libexec usr/local usr/src
    usr/lib/apt usr/lib/dpkg usr/lib/girepository-1.0 usr/lib/init usr/lib/mime usr/lib/systemd
    usr/lib/tmpfiles.d usr/lib/udev usr/lib/x86_64-linux-gnu/gconv usr/lib/x86_64-linux-gnu/perl
    usr/lib/x86_64-linux-gnu/perl-base usr/lib/x86_64-linux-gnu/security
    usr/lib/python3 usr/lib/python3.11/ensurepip usr/lib/python3.11/idlelib usr/lib/python3.11/lib2to3
    usr/lib/python3.11/pydoc_data usr/lib/python3.11/test usr/lib/python3.11/turtledemo
""".split()  # noqa: SIM905  a table of names
DROPPED_FILES = ("libperl.so", "libdb-5.3.so", "libsystemd.so", "libapt-", "libgnutls", "libdebconf")
#: Commands that are of use in a container; the rest of /usr/bin and /usr/sbin goes.
COMMANDS = frozenset(
    """
    [ b2sum base64 basename cat chgrp chmod chown cksum comm cp cut date dd df dirname dash du echo egrep
    env expr false fgrep find free grep head hostname id install kill ldconfig ldd ln ls md5sum mkdir
    mkfifo mknod mktemp mount mv nice nohup nproc od pgrep pidof pkill printenv printf ps pwd python3
    python3.11 readlink realpath rm rmdir sed seq setpriv setsid sh sha256sum shuf sleep sort split stat
    stdbuf sync tail tee test timeout touch tr true truncate uname uniq unlink unshare vmstat wc whoami
    xargs yes
    """.split()  # noqa: SIM905  a table of names
)

FILES = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/sh\n" + "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/hosts": "127.0.0.1 localhost\n",
}
EMPTY_FOLDERS = ("dev", "proc", "sys", "run", "root", "tmp", "var/tmp", "etc", "usr/local/bin", "proxy")
MODES = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700}


def debian_step(mirror: str = "") -> Step:
    """Debian packages unpacked: `root.tar`."""

    def build(work: Work) -> None:
        mmdebstrap(work, DEBIAN, str(work.out / "root.tar"), mirror=mirror)

    return Step("runtime-debian", build, inputs=DEBIAN.inputs(mirror))


def base_step(mirror: str = "") -> Step:
    """The base layer: `layer.tar`."""
    recipe = Path(__file__).read_bytes()
    return Step("runtime-base", _build, inputs={"recipe": recipe}, needs={"debian": debian_step(mirror)})


def _build(work: Work) -> None:
    tree = work.scratch / "tree"
    unpack_debian(work.products["debian"].file("root.tar"), tree)
    for name in EMPTY_FOLDERS:
        (tree / name).mkdir(parents=True, exist_ok=True)
    for name, content in FILES.items():
        (tree / name).write_text(content)
    for name in MERGED:
        (tree / name).symlink_to(f"usr/{name}")
    compile_python(work, tree, tree / "usr/lib/python3.11", "/usr/lib/python3.11")
    made = write_layer(tree, work.out / LAYER_NAME, modes=MODES)
    work.say(f"base layer: {made.size_bytes / 1e6:.1f} MB, {made.diff_id}")


def unpack_debian(archive: Path, tree: Path) -> None:
    """Unpack what an image needs, with /bin, /sbin and /lib merged into /usr."""
    with tarfile.open(archive) as file:
        members = [m for m in (_member(info) for info in file) if m is not None]
        _unpack(file, members, tree)
    _remove_dangling(tree)


def unpack_layer(archive: Path, tree: Path) -> None:
    """Unpack a layer of ours."""
    with tarfile.open(archive) as file:
        _unpack(file, file.getmembers(), tree)


def compile_python(work: Work, root: Path, folder: Path, installed: str) -> None:
    """Compile all modules below `folder` (installed at `installed`) with the Python of `root`.

    Unchecked bytecode: neither times nor sizes are looked at, and images do not depend on them.
    """
    # -f and, in python(), -B: what this very run imports must not be left with times and paths in it
    options = [
        "-q",
        "-f",
        "-j",
        "1",
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        str(folder),
        "-p",
        installed,
    ]
    python(work, root, ["-m", "compileall", *options, str(folder)])


def python(work: Work, root: Path, args: list[str], path: str = "") -> None:
    """Run the Python of an unpacked image on this host (Linux, x86-64)."""
    libraries = root / "usr/lib/x86_64-linux-gnu"
    env = {"PYTHONHOME": str(root / "usr"), "PYTHONHASHSEED": "0", "PATH": os.environ.get("PATH", "")}
    if path:
        env["PYTHONPATH"] = path
    loader = [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries)]
    work.run([*loader, str(root / PYTHON), "-B", "-S" if not path else "-s", *args], env=env)


def _member(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    name = os.path.normpath(info.name)
    if name.split("/")[0] in MERGED:
        name = f"usr/{name}"
    link = info.linkname
    if info.islnk():
        link = os.path.normpath(link)
        link = f"usr/{link}" if link.split("/")[0] in MERGED else link
    needless = name == "." or _needless(name) or info.ischr() or info.isblk() or info.isfifo()
    if needless:
        return None
    wanted = copy.copy(info)
    wanted.name, wanted.linkname, wanted.mode = name, link, info.mode & 0o755
    return wanted


def _needless(name: str) -> bool:
    parts = name.split("/")
    if any(name == folder or name.startswith(f"{folder}/") for folder in DROPPED):
        return True
    if parts[:2] == ["usr", "share"]:
        return len(parts) > 2
    if parts[:2] in (["usr", "bin"], ["usr", "sbin"]) and len(parts) == 3:
        return parts[2] not in COMMANDS
    return parts[-1].startswith(DROPPED_FILES)


def _unpack(file: tarfile.TarFile, members: Iterable[tarfile.TarInfo], tree: Path) -> None:
    """Unpack as this user's files, as they are; the same on every Python.

    What may be unpacked became a setting in 3.11.4 and strict by default in 3.14; Debian 12 has 3.11.2.
    """
    file.extraction_filter = lambda member, _: member
    for member in members:
        ours = copy.copy(member)
        ours.uid, ours.gid, ours.uname, ours.gname = os.geteuid(), os.getegid(), "", ""
        file.extract(ours, tree)


def _remove_dangling(tree: Path) -> None:
    for path in sorted(tree.rglob("*")):
        if path.is_symlink():
            target = str(path.readlink())
            at = tree / target.lstrip("/") if target.startswith("/") else path.parent / target
            text = str(at)
            for name in MERGED:
                text = text.replace(f"{tree}/{name}/", f"{tree}/usr/{name}/")
            if not os.path.lexists(text):
                path.unlink()
