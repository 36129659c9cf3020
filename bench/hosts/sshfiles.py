"""Whole files over SFTP."""

from __future__ import annotations

import stat

import paramiko

PREFETCH_FROM_BYTES = 256 << 10


def read_all(sftp: paramiko.SFTPClient, path: str) -> bytes:
    """Read to the end of the file; the size that /proc and /sys report is not believed."""
    with sftp.open(path, "rb") as file:
        status = file.stat()
        regular = status.st_mode is not None and stat.S_ISREG(status.st_mode)
        if regular and (status.st_size or 0) >= PREFETCH_FROM_BYTES:
            file.prefetch(status.st_size)
        return bytes(file.read())


def write_all(sftp: paramiko.SFTPClient, data: bytes, path: str) -> None:
    """Write a file without waiting for each block's answer."""
    with sftp.open(path, "wb") as file:
        file.set_pipelined(pipelined=True)
        file.write(data)
