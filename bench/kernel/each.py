"""Every patch of the series compiles: after each one, the objects that the series touches, without a warning.

For each configuration of the facility the patches are applied in order to Debian's source, in the toolchain's
root. A patch fails when it does not apply, when an object does not compile, or when what it calls of the
series is defined by a later patch only, so that the kernel would not link.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.build import compilercache
from bench.build.debian import Root, copy_out, hook, mmdebstrap
from bench.build.digest import digest_of
from bench.build.kernel import (
    UNPACK,
    bring_patches,
    fragments,
    series_of,
    toolchain_options,
    toolchain_step,
)
from bench.build.step import Step, Work, ensure
from bench.errors import BuildError, InfrastructureError
from bench.kernel import suite
from bench.paths import KERNEL

PATCHES = KERNEL / "patches"
#: What the facility is set to; a symbol that no patch has brought yet is ignored.
CONFIGURATIONS: Mapping[str, str] = {
    "y": "CONFIG_REWIND=y\n",
    "debug": "CONFIG_REWIND=y\nCONFIG_REWIND_DEBUG=y\n",
    "n": "# CONFIG_REWIND is not set\n",
}
#: Beyond the product's kernel: what the series does about pages of bad memory.
MORE = "CONFIG_X86_MCE=y\nCONFIG_MEMORY_FAILURE=y\n"
KIND = "each"
LIMIT_S = 5400.0
RESULTS = "each.txt"
CHANGED = re.compile(r"^\+\+\+ b/(?P<path>\S+)", re.MULTILINE)
ADDED = re.compile(r"^--- /dev/null\n\+\+\+ b/(?P<path>\S+)", re.MULTILINE)
#: A function that is declared or defined, but no call of one, which stands further right.
DECLARATION = re.compile(r"^\+(?:[a-z_][\w\s*]*?[\s*])?(?P<name>[a-z_]\w*)\(", re.MULTILINE)
#: Of what belongs to the series alone, a trace point or a key too.
OWN = re.compile(r"\b\w*rewind\w*\b")
#: All that Kbuild would make of a folder: each list that is not empty under a configuration.
LIST = r"""
src := $(dir)
obj := $(dir)
srctree := .
-include .config
include $(firstword $(wildcard $(dir)/Kbuild $(dir)/Makefile))
.DEFAULT_GOAL := each-list
each-list:
	@printf '%s\n' $(sort $(filter %.o %/,$(foreach v,$(filter %-y %-objs,$(.VARIABLES)),$($v))))
"""
#: Run in the source tree: each.sh PATCHES JOBS. PATCHES/each/ has the makefile, the configuration, and the
#: sources. One line comes out for each patch, then one for each source that was compiled; logs go to stderr.
SCRIPT = r"""
export LC_ALL=C
patches=$1 jobs=$2 each=$1/each log=$1/each/log
: > $each/ever

listed() {
  make -s -f $each/list.mk dir="$1" 2> /dev/null | grep -qxF -e "$2"
}

# Objects of the sources that are there and that this configuration has; some are part of another source.
objects() {
  while read -r source own; do
    [ -f "$source" ] || continue
    folder=${source%/*} file=${source##*/}
    unit=$file
    listed "$folder" "${unit%.c}.o" || unit=$(grep -lxF "#include \"$file\"" "$folder"/*.c | head -n 1)
    unit=${unit##*/}
    [ -n "$unit" ] && listed "$folder" "${unit%.c}.o" || continue
    [ "$own" = - ] || listed "${folder%/*}" "${folder##*/}/" || continue
    echo "$source" >> $each/ever
    echo "$folder/${unit%.c}.o"
  done < $each/sources
}

undefined() {
  [ $# -gt 0 ] || return 0
  nm --defined-only "$@" 2> /dev/null | awk 'NF == 3 { print $3 }' | sort -u > $each/defined
  nm -u "$@" 2> /dev/null | awk '$1 == "U" { print $2 }' | sort -u | comm -23 - $each/defined |
    grep -xF -f $each/names | tr '\n' ' '
}

# The cache's compiler sometimes leaves no list of what a source includes, which ends make.
compile() {
  make -s -k -j$jobs $MAKE_WITH KCFLAGS=-Werror "$@" || make -s -k -j$jobs KCFLAGS=-Werror "$@"
}

try() {
  patch -p1 --batch --fuzz=0 --silent --input="$1" || { why="does not apply"; return 1; }
  make -s $MAKE_WITH KCONFIG_ALLCONFIG=$each/config allnoconfig || { why="cannot be configured"; return 1; }
  objects > $each/objects
  set -- $(cat $each/objects)
  [ $# -eq 0 ] || compile "$@" || { why="does not compile"; return 1; }
  missing=$(undefined "$@")
  [ -z "$missing" ] || { why="uses what a later patch defines: $missing"; return 1; }
}

for patch in $patches/*.patch; do
  name=${patch##*/}
  echo "after $name" >&2
  if try "$patch" > $log 2>&1; then
    echo "ok $name"
  else
    echo "failed $name: $why: $(grep -m1 -E 'error:|\*\*\*|FAILED' $log)"
  fi
  cat $log >&2
  [ "$why" != "does not apply" ] || break
done
sort -u $each/ever | sed 's/^/compiled /'
"""


def sources(series: Sequence[Path]) -> dict[str, bool]:
    """Each C file that the series changes; true where its folder has no makefile but for the series."""
    texts = [path.read_text(errors="replace") for path in series]
    made = {Path(match["path"]) for text in texts for match in ADDED.finditer(text)}
    folders = {path.parent for path in made if path.name in ("Makefile", "Kbuild")}
    changed = dict.fromkeys(match["path"] for text in texts for match in CHANGED.finditer(text))
    return {path: Path(path).parent in folders for path in changed if path.endswith(".c")}


def names(series: Sequence[Path]) -> set[str]:
    """What the linker may miss when a patch comes too early: names that the series declares."""
    added = "".join(
        f"{line}\n"
        for path in series
        for line in path.read_text(errors="replace").splitlines()
        if line.startswith("+") and not line.startswith("+++ ")
    )
    own = {prefix + name for name in OWN.findall(added) for prefix in ("", "__tracepoint_")}
    return own | {match["name"] for match in DECLARATION.finditer(added)}


def each_step(configuration: str, failed: Path, *, patches: Path = PATCHES, mirror: str = "") -> Step:
    """A step that compiles after every patch; product: `RESULTS`, what the script said.

    When a patch fails there is no product but a BuildError, and the same in the file `failed`.
    """
    series = series_of(patches)
    parts = [path.read_text() for path in fragments("norewind", patches)]
    config = "".join([*parts, MORE, CONFIGURATIONS[configuration]])

    def build(work: Work) -> None:
        results = work.out / RESULTS
        _compile(work, series, config, results)
        if problems_of(results.read_text()):
            shutil.copy(results, failed)
            raise BuildError("a patch of the series does not compile", hint=f"see {work.log}")

    scripts = [UNPACK, LIST, SCRIPT]
    return Step(
        f"each-{configuration}",
        build,
        {"config": config, "patches": list(series), "scripts": scripts, "version": 1},
        {"toolchain": toolchain_step(mirror=mirror)},
    )


def _compile(work: Work, series: Sequence[Path], config: str, results: Path) -> None:
    folder = work.scratch / "each"
    write_inputs(folder, series, config)
    settings = f"MAKE_WITH={compilercache.COMPILER} {compilercache.ENVIRONMENT}"
    command = f"sh /patches/each/each.sh /patches {os.cpu_count() or 1}"
    script = f'''cp -r "$1/each-inputs" "$1/patches/each"
chroot "$1" sh -c "cd /build && export {settings} && {command}" > "$1/{RESULTS}"'''
    options = [
        *toolchain_options(work),
        *bring_patches(work, series),
        hook('mkdir -p "$1/each-inputs"'),
        f"--customize-hook=sync-in {folder} /each-inputs",
        *compilercache.bring(work, KIND),
        hook(UNPACK),
        hook(script),
        copy_out(f"/{RESULTS}", results),
        *compilercache.take(work),
    ]
    mmdebstrap(work, Root("custom"), "/dev/null", extra=options, timeout_s=LIMIT_S)
    compilercache.keep(work, KIND)


def write_inputs(folder: Path, series: Sequence[Path], config: str) -> None:
    """What the script reads beside the patches."""
    folder.mkdir(parents=True)
    (folder / "each.sh").write_text(SCRIPT)
    (folder / "list.mk").write_text(LIST)
    (folder / "config").write_text(config)
    lines = [f"{path} {'own' if own else '-'}\n" for path, own in sources(series).items()]
    (folder / "sources").write_text("".join(lines))
    (folder / "names").write_text("".join(f"{name}\n" for name in sorted(names(series))))


def problems_of(results: str) -> list[str]:
    """A line for each patch that failed."""
    return [line.removeprefix("failed ") for line in results.splitlines() if line.startswith("failed ")]


def left_out(compiled: Iterable[str], series: Sequence[Path]) -> list[str]:
    """The sources of a series that were never compiled, a line for each."""
    return [f"no configuration compiles {path}" for path in sorted(sources(series).keys() - set(compiled))]


def key_of(patches: Path = PATCHES) -> str:
    """A digest of what is compiled and how."""
    return digest_of([each_step(name, Path(), patches=patches).digest for name in CONFIGURATIONS])


def verdict(folder: Path, *, patches: Path = PATCHES) -> suite.Verdict:
    """Compile under each configuration; `folder` receives what was found.

    A source of the series that no configuration compiles is a problem, as is a build that did not get so far.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    problems: list[str] = []
    lines: list[str] = []
    for name in CONFIGURATIONS:
        results = folder / f"{name}.txt"
        try:
            shutil.copy(ensure(each_step(name, results, patches=patches)).file(RESULTS), results)
        except InfrastructureError as error:
            found = problems_of(results.read_text()) if results.is_file() else []
            problems += [f"CONFIG_REWIND {name}: {line}" for line in found or [error.message]]
        lines += results.read_text().splitlines() if results.is_file() else []
    if not problems:
        compiled = [line.removeprefix("compiled ") for line in lines if line.startswith("compiled ")]
        problems = left_out(compiled, series_of(patches))
    return suite.Verdict("each-patch", tuple(problems), sum(x.startswith("ok ") for x in lines), (), 0.0)
