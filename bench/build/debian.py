"""Debian root file systems by mmdebstrap: which mirror, which mode, which hooks.

As root it works directly; otherwise in a user namespace (mmdebstrap's unshare mode). All that comes
out goes through mmdebstrap's own copy hooks, so that a recipe is the same in both.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import process
from bench.build.step import Work
from bench.errors import BenchError

SUITE = "bookworm"
COMPONENT = "main"
APT_SOURCES = Path("/etc/apt")
#: The host's own apt settings that decide whether a mirror can be reached at all.
APT_OPTION = re.compile(r"^Acquire::(https?::|Check-|Retries|ForceIPv[46]|Languages )")
#: What nobody reads in a guest or a toolchain.
LEAN = tuple(
    f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "info", "man", "locale", "lintian")
)


@dataclass(frozen=True)
class Root:
    """A recipe for one mmdebstrap run."""

    variant: str
    packages: tuple[str, ...] = ()
    #: mmdebstrap options in order, each "--…-hook=…" or other.
    options: tuple[str, ...] = ()

    def inputs(self, mirror: str = "") -> dict[str, str | list[str]]:
        """What decides the product; the host's own mirror does not, one that was asked for does."""
        return {
            "suite": SUITE,
            "variant": self.variant,
            "packages": list(self.packages),
            "options": [*LEAN, *self.options],
            "mirror": mirror,
        }


def mmdebstrap(
    work: Work,
    root: Root,
    target: str,
    *,
    mirror: str = "",
    extra: Sequence[str] = (),
    timeout_s: float = 3600.0,
) -> None:
    """Make a root file system; `target` is a tar file, or "/dev/null" when only hooks matter.

    `extra` options name places on this machine and so are no part of the recipe.
    """
    sources = work.scratch / "debian.list"
    lines = apt_lines(mirror)
    sources.write_text("".join(line + "\n" for line in lines))
    argv = [*_private_mounts(), "mmdebstrap", f"--mode={'root' if os.geteuid() == 0 else 'unshare'}"]
    argv.append(f"--variant={root.variant}")
    argv += [f"--aptopt={line}" for line in apt_options()]
    argv += [*LEAN, *([f"--include={','.join(root.packages)}"] if root.packages else [])]
    argv += [*root.options, *extra]
    argv += ["--format=null"] if target == "/dev/null" else ["--format=tar"]
    argv += [SUITE if root.packages else "", target, *([str(sources)] if lines and root.packages else [])]
    work.run(argv, timeout_s=timeout_s, env={**os.environ, "TMPDIR": _workspace(work)})


@functools.cache
def _private_mounts() -> tuple[str, ...]:
    """As root, give mmdebstrap a mount namespace: what it mounts goes with it, however it ends."""
    prefix = ("unshare", "--mount", "--propagation", "private", "--")
    if os.geteuid() != 0:
        return ()
    works = process.run([*prefix, "true"], timeout_s=30, check=False).status == 0
    return prefix if works else ()


def _workspace(work: Work) -> str:
    """Where the root file system is made: on a disk, and if it can be where a killed build is found.

    Without root its owner is another user id, which may not enter this user's folders.
    """
    return str(work.scratch) if os.geteuid() == 0 else os.environ.get("TMPDIR", "/var/tmp")  # noqa: S108


def hook(script: str, stage: str = "customize") -> str:
    """An mmdebstrap option that runs a shell script; the new root is "$1"."""
    return f"--{stage}-hook=set -eu; {script}"


def copy_in(source: Path, inside: str) -> str:
    """An mmdebstrap option that copies a file of ours to a path inside the new root."""
    return f"--customize-hook=upload {shlex.quote(str(source))} {shlex.quote(inside)}"


def copy_out(inside: str, target: Path) -> str:
    """An mmdebstrap option that copies a file out of the new root."""
    return f"--customize-hook=download {shlex.quote(inside)} {shlex.quote(str(target))}"


def apt_lines(mirror: str = "", etc: Path = APT_SOURCES) -> list[str]:
    """Apt's source lines: of `mirror` (a URL, or whole lines), else those this host uses for the suite.

    Empty when the host is no Debian of that suite: mmdebstrap then uses Debian's own mirror.
    """
    if mirror.startswith("deb "):
        return mirror.splitlines()
    if mirror:
        return [f"deb {mirror} {suite} {COMPONENT}" for suite in (SUITE, f"{SUITE}-updates")]
    wanted = {SUITE, f"{SUITE}-updates", f"{SUITE}-security"}
    return [
        f"deb {f'[signed-by={key}] ' if key else ''}{url} {suite} {COMPONENT}"
        for url, suite, components, key in _host_sources(etc)
        if suite in wanted and COMPONENT in components
    ]


def apt_options() -> list[str]:
    """The host's apt settings for proxies, certificates and dates, as configuration lines."""
    try:
        dump = process.run(["apt-config", "dump", "Acquire"], timeout_s=30).text
    except BenchError:
        return []
    lines = [line for line in dump.splitlines() if APT_OPTION.match(line)]
    return [line.rstrip(";") for line in lines if '""' not in line]


def _host_sources(etc: Path) -> Iterator[tuple[str, str, list[str], str]]:
    """Yield (URL, suite, components, key) for each binary source of this host."""
    for path in sorted([*etc.glob("sources.list"), *etc.glob("sources.list.d/*.list")]):
        for line in path.read_text().splitlines():
            found = re.match(r"deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)\s+(.*)", line)
            if found:
                key = re.search(r"signed-by=(\S+)", found[1] or "")
                yield found[2], found[3], found[4].split(), key[1] if key else ""
    for path in sorted(etc.glob("sources.list.d/*.sources")):
        for stanza in path.read_text().split("\n\n"):
            yield from _stanza(stanza)


def _stanza(text: str) -> Iterator[tuple[str, str, list[str], str]]:
    fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", text, re.MULTILINE))
    if "deb" not in fields.get("Types", "").split() or fields.get("Enabled", "yes") == "no":
        return
    key = fields.get("Signed-By", "")
    for url in fields.get("URIs", "").split():
        for suite in fields.get("Suites", "").split():
            yield url, suite, fields.get("Components", "").split(), key if key.startswith("/") else ""
