"""The images that a run loads: one per runtime, and the embedded platform's, in one archive.

    base ── packages and data of the workloads ── proxy and launcher loop ── scheme     (rewind-bench/RUNTIME)
      └──── packages of the platform ── bench.platforms.embedded and what it imports   (rewind-bench/platform)

A runtime folder becomes /usr/lib/rewind-bench/scheme, with the `programs` that its scheme.toml names.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.build.base import LAYER_NAME, PACKAGES_FOLDER, base_step, compile_python, python, unpack_layer
from bench.build.cprogram import static_program
from bench.build.digest import Input
from bench.build.layers import Image, ImageConfig, layer, write_archive, write_layer
from bench.build.proxy import BINARY_NAME, OWN, proxy_step
from bench.build.sources import closure
from bench.build.step import Product, Step, Work
from bench.build.wheels import LOCK, install
from bench.errors import ConfigError
from bench.paths import ROOT, RUNTIMES
from bench.plugins import Scheme, Workload, schemes

PLATFORM = "platform"
#: Not the label of our containers: a container inherits its image's labels, also a user's own one.
IMAGE_LABEL = "rewind-bench.image"
PLATFORM_PACKAGE = "bench.platforms.embedded"
PLATFORM_REQUIREMENTS = ("aiohttp", "docker", "msgspec")
ARCHIVE_NAME = "images.tar"
LISTING_NAME = "images.json"

OURS = "usr/lib/rewind-bench"
DATA = "usr/share/rewind-bench/data"
COMMON = RUNTIMES / "common"
#: Left out of an image: read by the harness only.
NOT_IN_IMAGE = shutil.ignore_patterns("__pycache__", "scheme.toml", "src", "seccomp.*", "*.c", "*.h")

LAUNCHER_USERS: Mapping[str, str] = {"nobody": "65534", "root": "root"}
ENV = {
    "OW_COMPILER": f"/{OURS}/common/compile",
    "OW_WAIT_FOR_ACK": "1",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    # Under OpenWhisk's own proxy there is no descriptor 4: the launcher looks.
    "__OW_READY_FD": "4",
}


#: Runs the function `generate` of argument 1, a data.py, on argument 2.
GENERATE = "import pathlib as p, runpy, sys; runpy.run_path(sys.argv[1])['generate'](p.Path(sys.argv[2]))"


class ImageInfo(msgspec.Struct, frozen=True):
    """An image as it will be in the testbed's Docker."""

    reference: str
    id: str
    size_bytes: int


@dataclass(frozen=True)
class ImageSet:
    """A file for `docker load` and what is in it, by runtime name and "platform"."""

    archive: Path
    images: Mapping[str, ImageInfo]
    digest: str

    def reference(self, name: str) -> str:
        """Repository and tag of a runtime's image, or of "platform"."""
        return self.images[name].reference


def images_step(
    schemes: Iterable[Scheme],
    workloads: Iterable[Workload],
    *,
    launcher_user: str = "nobody",
    action_proxy: str = OWN,
    mirror: str = "",
) -> Step:
    """The step that builds all images; `image_set` reads its product.

    Raises ConfigError on an unknown launcher user, proxy, or a runtime without launcher or program.
    """
    folders = runtime_folders(schemes)
    programs = {path.name: _programs(path) for path in folders}
    problems = _problems(folders, programs, launcher_user)
    if problems:
        raise ConfigError(problems, hint="a runtime folder holds scheme.toml and launcher.py")
    needs = {
        "base": base_step(mirror),
        "proxy": proxy_step(action_proxy),
        "workloads": workloads_step(list(workloads), mirror),
        "platform": platform_step(mirror),
    }
    inputs: dict[str, Input] = {
        "recipe": _recipe("images.py", "layers.py", "cprogram.py"),
        "common": COMMON,
        "runtimes": {path.name: path for path in folders},
        "programs": programs,
        "user": launcher_user,
        "setting": action_proxy,
    }
    return Step("images", lambda work: _build(work, folders, launcher_user, action_proxy), inputs, needs)


def _problems(
    folders: Sequence[Path], programs: Mapping[str, Mapping[str, Path]], launcher_user: str
) -> list[str]:
    found = [f"{path}: launcher.py is missing" for path in folders if not (path / "launcher.py").is_file()]
    found += [
        f"{name}/scheme.toml: programs.{program}: {source} is missing"
        for name, wanted in programs.items()
        for program, source in wanted.items()
        if not source.exists()
    ]
    if launcher_user not in LAUNCHER_USERS:
        found.append(f"launcher_user = {launcher_user!r} is none of {', '.join(LAUNCHER_USERS)}")
    return found


def runtime_folders(schemes: Iterable[Scheme]) -> list[Path]:
    """The folders whose images these schemes need."""
    return sorted({scheme.folder.parent / scheme.runtime for scheme in schemes})


def image_set(product: Product) -> ImageSet:
    """What a finished images step made."""
    listing = product.file(LISTING_NAME).read_bytes()
    images = msgspec.json.decode(listing, type=dict[str, ImageInfo])
    return ImageSet(product.file(ARCHIVE_NAME), images, product.digest)


def workloads_step(workloads: Sequence[Workload], mirror: str = "") -> Step:
    """The layer with the workloads' packages and data: `layer.tar`."""
    recipes = {w.name: w.folder / "data.py" for w in workloads if (w.folder / "data.py").is_file()}
    packages = sorted({name for w in workloads for name in w.spec.packages})

    def build(work: Work) -> None:
        tree, root = work.scratch / "tree", _python_root(work)
        _packages(work, root, packages, tree)
        for name, recipe in sorted(recipes.items()):
            target = tree / DATA / name
            target.mkdir(parents=True)
            args = ["-c", GENERATE, str(recipe), str(target)]
            python(work, root, args, path=str(tree / PACKAGES_FOLDER))
        _pack(work, tree)

    inputs: dict[str, Input] = {
        "recipe": [_recipe("wheels.py", "layers.py"), GENERATE],
        "packages": packages,
        "data": recipes,
        "lock": LOCK,
    }
    return Step("runtime-workloads", build, inputs, {"base": base_step(mirror)})


def platform_step(mirror: str = "") -> Step:
    """The layers of the embedded platform: `packages.tar`, `sources.tar`."""
    sources = {str(path.relative_to(ROOT)): path for path in closure(PLATFORM_PACKAGE)}

    def build(work: Work) -> None:
        root, tree = _python_root(work), work.scratch / "tree"
        _packages(work, root, PLATFORM_REQUIREMENTS, tree)
        write_layer(tree, work.out / "packages.tar")
        ours = work.scratch / "ours"
        for name, path in sources.items():
            target = ours / OURS / "python" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        folder = ours / OURS / "python"
        folder.mkdir(parents=True, exist_ok=True)
        compile_python(work, root, folder, f"/{OURS}/python")
        write_layer(ours, work.out / "sources.tar")

    inputs: dict[str, Input] = {
        "recipe": _recipe("wheels.py", "layers.py"),
        "requirements": PLATFORM_REQUIREMENTS,
        "sources": sources,
        "lock": LOCK,
    }
    return Step("runtime-platform", build, inputs, {"base": base_step(mirror)})


def _build(work: Work, folders: Sequence[Path], launcher_user: str, action_proxy: str) -> None:
    products = work.products
    base = layer(products["base"].file(LAYER_NAME))
    root = _python_root(work)
    below = (base, layer(products["workloads"].file(LAYER_NAME)), layer(_common(work, root, launcher_user)))
    labels = {
        IMAGE_LABEL: "1",
        "rewind-bench.action-proxy": action_proxy,
        "rewind-bench.launcher-user": launcher_user,
    }
    images = {}
    for folder in folders:
        config = ImageConfig(
            env=ENV,
            entrypoint=("/usr/bin/proxy",),
            workdir="/proxy",
            ports=("8080/tcp",),
            labels=labels
            | {"rewind-bench.runtime": folder.name, "rewind-bench.launcher-user": launcher_user},
        )
        images[folder.name] = Image(folder.name, (*below, layer(_scheme(work, root, folder))), config)
    platform = tuple(layer(products["platform"].file(name)) for name in ("packages.tar", "sources.tar"))
    config = ImageConfig(
        env={"PATH": ENV["PATH"], "PYTHONPATH": f"/{OURS}/python", "PYTHONUNBUFFERED": "1"},
        entrypoint=("/usr/bin/python3.11", "-m", PLATFORM_PACKAGE),
        labels={IMAGE_LABEL: "1"},
    )
    images[PLATFORM] = Image(PLATFORM, (base, *platform), config)
    write_archive(list(images.values()), work.out / ARCHIVE_NAME)
    listing = {
        name: ImageInfo(image.reference, image.id, sum(part.size_bytes for part in image.layers))
        for name, image in images.items()
    }
    (work.out / LISTING_NAME).write_bytes(msgspec.json.encode(listing))


def _common(work: Work, root: Path, launcher_user: str) -> Path:
    tree = work.scratch / "common"
    (tree / "usr/bin").mkdir(parents=True)
    shutil.copy(work.products["proxy"].file(BINARY_NAME), tree / "usr/bin/proxy")
    target = tree / OURS / "common"
    shutil.copytree(COMMON, target, ignore=NOT_IN_IMAGE)
    settings = f"python=/usr/bin/python3.11\nlauncher_user={LAUNCHER_USERS[launcher_user]}\n"
    (tree / OURS / "settings").write_text(settings)
    compile_python(work, root, target, f"/{OURS}/common")
    write_layer(tree, work.scratch / "common.tar", modes={f"{OURS}/common/compile": 0o755})
    return work.scratch / "common.tar"


def _scheme(work: Work, root: Path, folder: Path) -> Path:
    tree = work.scratch / f"scheme-{folder.name}"
    target = tree / OURS / "scheme"
    shutil.copytree(folder, target, ignore=NOT_IN_IMAGE)
    for name, source in _programs(folder).items():
        static_program(work, sorted(source.glob("*.[ch]")) if source.is_dir() else [source], target / name)
    compile_python(work, root, target, f"/{OURS}/scheme")
    made = work.scratch / f"{tree.name}.tar"
    write_layer(tree, made)
    return made


def _programs(folder: Path) -> dict[str, Path]:
    """The programs that a runtime's scheme.toml names, with their sources."""
    scheme = schemes(folder.parent).get(folder.name)
    return {} if scheme is None else {k: RUNTIMES / v for k, v in scheme.spec.programs.items()}


def _packages(work: Work, root: Path, requirements: Sequence[str], tree: Path) -> None:
    folder = tree / PACKAGES_FOLDER
    install(work, requirements, folder)
    compile_python(work, root, folder, f"/{PACKAGES_FOLDER}")


def _pack(work: Work, tree: Path) -> None:
    write_layer(tree, work.out / LAYER_NAME)


def _python_root(work: Work) -> Path:
    root = work.scratch / "python"
    unpack_layer(work.products["base"].file(LAYER_NAME), root)
    return root


def _recipe(*names: str) -> list[Input]:
    """The code that decides what a layer looks like."""
    return [Path(__file__).parent / name for name in names]
