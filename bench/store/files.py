"""Writing files so that a kill or a full disk leaves the old content or the new, never a part."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.errors import AccessError, DiskFullError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def typed_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's "full" and "not allowed" into errors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError(
                f"no space left while writing {path}",
                hint="free some space, then go on with `rewind-bench run --resume`; finished cells are kept",
            ) from error
        if error.errno in _REFUSED:
            raise AccessError(
                f"may not write {path}: {error.strerror}", hint="check who owns the results folder"
            ) from error
        raise


def write_file(path: Path, content: bytes) -> None:
    """Write and flush to the disk; DiskFullError or AccessError when that is refused."""
    with typed_errors(path), path.open("wb") as file:
        file.write(content)
        file.flush()
        if path.is_file():  # devices cannot be synced
            os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Replace `path` in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write_file(temporary, content)
        with typed_errors(path):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def replace_folder(made: Path, target: Path) -> None:
    """Put the finished folder `made` where `target` is or will be; `made` is gone afterwards."""
    with typed_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            aside = made.with_name(made.name + ".old")
            target.rename(aside)
            made.rename(target)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            made.rename(target)
        sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def parquet_bytes(table: pa.Table) -> bytes:
    """The table as a Parquet file; equal tables give equal bytes."""
    # Through memory, so that a full disk is Python's OSError with its number.
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
