"""The kernel: Debian's source or a tree of yours, patches in order, configuration fragments.

Built without modules in a toolchain root of Debian 12, so that the compiler is the same everywhere.
`uname -r` ends in a hash of patches and configuration, by which provisioning knows it again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.build import compilercache
from bench.build.debian import Root, copy_in, copy_out, hook, mmdebstrap
from bench.build.digest import digest_of
from bench.build.step import Product, Step, Work
from bench.errors import ConfigError
from bench.paths import KERNEL

#: release: patches, facility on. debug: the same with every checker. norewind: patches, facility
#: off. unpatched: the source as it is.
Variant = Literal["release", "debug", "norewind", "unpatched"]
VARIANTS: tuple[Variant, ...] = ("release", "debug", "norewind", "unpatched")

SOURCE_PACKAGE = "linux-source-6.12"
MARK = "rewind-bench"
IMAGE_NAME = "vmlinuz"
ELF_NAME = "vmlinux"
TOOLS = (
    "bc",
    "bison",
    "ccache",
    "flex",
    "gcc",
    "libc6-dev",
    "libelf-dev",
    "libssl-dev",
    "lz4",
    "make",
    "patch",
    "xz-utils",
    SOURCE_PACKAGE,
)
#: Where the first file of a patch begins.
DIFFERENCE = re.compile(rb"^(?:diff --git |--- \S.*\n\+\+\+ )", re.MULTILINE)
TOOLCHAIN = Root("apt", TOOLS)
TOOLCHAIN_TAR = "toolchain.tar"
#: A fixed user, host and date: the same inputs give the same bytes.
REPRODUCIBLE = "KBUILD_BUILD_USER=bench KBUILD_BUILD_HOST=bench KBUILD_BUILD_TIMESTAMP=1970-01-01"

UNPACK = f"""
mkdir -p "$1/build"
chroot "$1" tar -C /build -xf /usr/src/{SOURCE_PACKAGE}.tar.xz --strip-components=1
"""
UNPACK_TREE = """
if [ -e "$1/build/.config" ]; then chroot "$1" make -s -C /build mrproper; fi
"""
PATCH = r"""
for patch in "$1"/patches/*.patch; do
  echo "applying ${patch##*/}"
  chroot "$1" patch -d /build -p1 --batch --fuzz=0 --input="/patches/${patch##*/}"
done
"""
#: A symbol that Kconfig dropped (a missing dependency) must not pass unnoticed.
CONFIGURE = r"""
chroot "$1" make -s -C /build KCONFIG_ALLCONFIG=/all.config allnoconfig
lost=0
while read -r line; do
  case "$line" in
    "# CONFIG_"*" is not set") name="${line#\# }"; name="${name%% *}"
      if grep -q "^$name=" "$1/build/.config"; then echo "still set: $name"; lost=1; fi ;;
    CONFIG_*)
      if ! grep -qxF -e "$line" "$1/build/.config"; then echo "not in effect: $line"; lost=1; fi ;;
  esac
done < "$1/wanted.config"
if [ "$lost" = 1 ]; then echo "the configuration fragments ask for what this source cannot give"; exit 1; fi
"""
COLLECT = rf"""
cp "$1/build/arch/x86/boot/bzImage" "$1/{IMAGE_NAME}"
cp "$1/build/{ELF_NAME}" "$1/{ELF_NAME}"
cp "$1/build/.config" "$1/config"
cp "$1/build/System.map" "$1/System.map"
cp "$1/build/include/config/kernel.release" "$1/release"
"""
PRODUCTS = (IMAGE_NAME, ELF_NAME, "config", "System.map", "release")


@dataclass(frozen=True)
class Kernel:
    """A built kernel."""

    product: Product

    @property
    def image(self) -> Path:
        """The compressed image (bzImage), as a boot loader takes it."""
        return self.product.file(IMAGE_NAME)

    @property
    def elf(self) -> Path:
        """The same kernel as ELF, with symbols; QEMU boots it without unpacking."""
        return self.product.file(ELF_NAME)

    @property
    def config(self) -> Path:
        """Its final configuration."""
        return self.product.file("config")

    @property
    def release(self) -> str:
        """What `uname -r` says when it runs."""
        return self.product.file("release").read_text().strip()


def series_of(folder: Path) -> tuple[Path, ...]:
    """The patches of a folder, in order; a file without a difference, such as a cover letter, is none."""
    return tuple(path for path in sorted(folder.glob("*.patch")) if DIFFERENCE.search(path.read_bytes()))


def toolchain_step(*, mirror: str = "") -> Step:
    """The root file system that kernels are built in, with the kernel's source."""

    def build(work: Work) -> None:
        versions = work.out / "packages.txt"
        listing = hook('chroot "$1" dpkg-query -W > "$1/packages.txt"')
        extra = [listing, copy_out("/packages.txt", versions)]
        mmdebstrap(work, TOOLCHAIN, str(work.out / TOOLCHAIN_TAR), mirror=mirror, extra=extra)

    return Step("toolchain", build, {**TOOLCHAIN.inputs(mirror), "version": 1})


def fragments(variant: Variant, patches: Path | None) -> tuple[Path, ...]:
    """The configuration fragments of a variant, in order."""
    names = ["base", "docker"]
    if variant == "debug":
        names.append("debug")
    if patches is not None and variant in ("release", "debug") and series_of(patches):
        names.append("rewind")
        if variant == "debug":
            names.append("rewind-debug")
    return tuple(KERNEL / "configs" / f"{name}.config" for name in names)


def kernel_step(
    variant: Variant = "release",
    *,
    source: Path | None = None,
    patches: Path | None = None,
    extra_config: str = "",
    mirror: str = "",
) -> Step:
    """A kernel as a build step; `Kernel(ensure(step))` is the product.

    `source` is a kernel tree of yours instead of Debian's, used as it is (no patches of ours unless
    `patches` names a folder); `patches` is a folder of *.patch, a whole series, instead of kernel/patches;
    `extra_config` is one more fragment, which wins.
    """
    for folder in (source, patches):
        if folder is not None and not folder.is_dir():
            raise ConfigError([f"{folder} is not a folder"], hint="name a kernel tree or a folder of patches")
    if patches is None and source is None:
        patches = KERNEL / "patches"
    series = () if variant == "unpatched" or patches is None else series_of(patches)
    config = "".join(path.read_text() for path in fragments(variant, patches)) + extra_config
    identity = digest_of({"config": config, "patches": list(series), "source": source, "variant": variant})
    name = MARK if variant == "release" else f"{MARK}-{variant}"
    recipe = _Recipe(
        config, series, source, f"-{name}-{identity[:8]}", "debug" if variant == "debug" else "plain"
    )
    return Step(
        f"kernel-{variant}",
        recipe.build,
        {"config": config, "patches": list(series), "source": source, "scripts": recipe.scripts()},
        {"toolchain": toolchain_step(mirror=mirror)},
    )


@dataclass(frozen=True)
class _Recipe:
    config: str
    series: tuple[Path, ...]
    source: Path | None
    #: End of `uname -r`. Not in the configuration: a header that all files include would differ each time.
    local_version: str
    #: Whose compiled objects are of use.
    kind: str

    def scripts(self) -> list[str]:
        """What is run, without the number of jobs, which changes nothing."""
        unpack = UNPACK if self.source is None else UNPACK_TREE
        patch = [PATCH] if self.series else []
        make = f"{REPRODUCIBLE} make LOCALVERSION={self.local_version} bzImage"
        return [unpack, *patch, CONFIGURE, make, COLLECT]

    def build(self, work: Work) -> None:
        config = work.scratch / "all.config"
        config.write_text(self.config)
        wanted = work.scratch / "wanted.config"
        wanted.write_text(_last_word(self.config))
        jobs = os.cpu_count() or 1
        settings = f"{REPRODUCIBLE} {compilercache.ENVIRONMENT}"
        make = f"""chroot "$1" sh -e -c "
cd /build
export {settings}
make -s -j{jobs} {compilercache.COMPILER} LOCALVERSION={self.local_version} bzImage
ccache --show-stats
" """
        options = [
            *toolchain_options(work),
            *self._source(work),
            copy_in(config, "/all.config"),
            copy_in(wanted, "/wanted.config"),
            *compilercache.bring(work, self.kind),
            *(hook(script) for script in [*self.scripts()[:-2], make, COLLECT]),
            *(copy_out(f"/{name}", work.out / name) for name in PRODUCTS),
            *compilercache.take(work),
        ]
        mmdebstrap(work, Root("custom"), "/dev/null", extra=options)
        compilercache.keep(work, self.kind)

    def _source(self, work: Work) -> list[str]:
        options = []
        if self.source is not None:
            tree = work.scratch / "source.tar"
            work.run(
                ["tar", "--exclude=.git", "--exclude=*.o", "-C", str(self.source), "-cf", str(tree), "."]
            )
            options += [hook('mkdir -p "$1/build"'), f"--customize-hook=tar-in {tree} /build"]
        return [*options, *(bring_patches(work, self.series) if self.series else [])]


def toolchain_options(work: Work) -> list[str]:
    """Options of mmdebstrap for a root that is the toolchain, which `work` has to need as "toolchain"."""
    toolchain = work.products["toolchain"].file(TOOLCHAIN_TAR)
    return ["--skip=update,setup,cleanup,tar-in/mknod", f"--setup-hook=tar-in {toolchain} /"]


def bring_patches(work: Work, series: Sequence[Path]) -> list[str]:
    """Options of mmdebstrap that copy patches to /patches."""
    folder = work.scratch / "patches"
    folder.mkdir()
    for patch in series:
        (folder / patch.name).write_bytes(patch.read_bytes())
    return [hook('mkdir -p "$1/patches"'), f"--customize-hook=sync-in {folder} /patches"]


def _last_word(config: str) -> str:
    """The fragments' lines with earlier settings of a symbol replaced by the last one."""
    lines: dict[str, str] = {}
    for line in config.splitlines():
        if line.startswith("CONFIG_"):
            lines[line.partition("=")[0]] = line
        elif line.startswith("# CONFIG_") and line.endswith(" is not set"):
            lines[line.split()[1]] = line
    return "".join(line + "\n" for line in lines.values())
