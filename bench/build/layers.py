"""Image layers and docker-archive files, the same bytes from the same inputs.

An archive holds several images; a layer that they share is stored, and loaded, once.
"""

from __future__ import annotations

import hashlib
import io
import json
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: Time of every file and image: builds at different times give the same bytes.
EPOCH_S = 1_704_067_200
EPOCH_ISO = "2024-01-01T00:00:00Z"
CHUNK_BYTES = 1 << 20
HASH_CHARS = 12


@dataclass(frozen=True)
class Layer:
    """An uncompressed layer; `diff_id` is the SHA-256 (hex) of the file."""

    path: Path
    diff_id: str
    size_bytes: int


@dataclass(frozen=True)
class ImageConfig:
    """What Docker is told about an image."""

    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: Sequence[str] = ()
    workdir: str = "/"
    ports: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Image:
    """An image that is called after its content: `rewind-bench/NAME:` and twelve digits of its id."""

    name: str
    layers: tuple[Layer, ...]
    config: ImageConfig

    @property
    def config_json(self) -> bytes:
        """The image's configuration; its SHA-256 is the image's id."""
        settings = {
            "Env": [f"{key}={value}" for key, value in sorted(self.config.env.items())],
            "Entrypoint": list(self.config.entrypoint),
            "WorkingDir": self.config.workdir,
            "ExposedPorts": {port: {} for port in self.config.ports},
            "Labels": dict(sorted(self.config.labels.items())),
        }
        whole = {
            "architecture": "amd64",
            "os": "linux",
            "created": EPOCH_ISO,
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.diff_id}" for layer in self.layers]},
            "history": [{"created": EPOCH_ISO, "created_by": "rewind-bench build"} for _ in self.layers],
        }
        return json.dumps(whole, sort_keys=True).encode()

    @property
    def id(self) -> str:
        """SHA-256 (hex) as Docker shows it in `docker image inspect`, without "sha256:"."""
        return hashlib.sha256(self.config_json).hexdigest()

    @property
    def reference(self) -> str:
        """Repository and tag."""
        return f"rewind-bench/{self.name}:{self.id[:HASH_CHARS]}"


def write_layer(tree: Path, target: Path, *, modes: Mapping[str, int] | None = None) -> Layer:
    """Pack a folder as a layer: sorted, owned by root, one time; `modes` overrides permissions.

    Set-id bits are dropped: nothing in a container needs more than it starts with.
    """
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for path, name in _walk(tree, ""):
            _add(archive, path, name, (modes or {}).get(name))
    return layer(target)


def layer(path: Path) -> Layer:
    """A layer that was written before."""
    state = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            state.update(chunk)
    return Layer(path, state.hexdigest(), path.stat().st_size)


def write_archive(images: Sequence[Image], target: Path) -> None:
    """Write a file for `docker load`."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for found in {entry.diff_id: entry for image in images for entry in image.layers}.values():
            _add(archive, found.path, f"{found.diff_id}/layer.tar", 0o644)
        for image in images:
            _add_bytes(archive, f"{image.id}.json", image.config_json)
        listing = [
            {
                "Config": f"{image.id}.json",
                "RepoTags": [image.reference],
                "Layers": [f"{entry.diff_id}/layer.tar" for entry in image.layers],
            }
            for image in images
        ]
        _add_bytes(archive, "manifest.json", json.dumps(listing).encode())


def _walk(folder: Path, inside: str) -> Iterator[tuple[Path, str]]:
    for entry in sorted(folder.iterdir()):
        name = f"{inside}{entry.name}"
        yield entry, name
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry, f"{name}/")


def _add(archive: tarfile.TarFile, path: Path, name: str, mode: int | None) -> None:
    status = path.lstat()
    info = tarfile.TarInfo(name)
    info.mtime = EPOCH_S
    info.mode = stat.S_IMODE(status.st_mode) & 0o1777 if mode is None else mode
    if stat.S_ISLNK(status.st_mode):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
        archive.addfile(info)
    elif stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    else:
        info.size = status.st_size
        with path.open("rb") as file:
            archive.addfile(info, file)


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.mtime, info.size, info.mode = EPOCH_S, len(content), 0o644
    archive.addfile(info, io.BytesIO(content))
