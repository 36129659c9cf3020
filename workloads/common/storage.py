"""Where an action's input data come from: a folder of the container's image, or an object store.

The request's parameters choose. Without `bucket` the file is read below `data`, else below
`$REWIND_BENCH_DATA`, else below the folder that the base image brings. With `bucket` the object is
fetched over S3; `endpoint`, `access_key` and `secret_key` are for stores that need them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

IMAGE_DATA = "/usr/share/rewind-bench/data"


def read(args: dict[str, Any], workload: str, name: str) -> bytes:
    """The bytes of input `name` of `workload`."""
    if args.get("bucket"):
        return _read_s3(args, f"{workload}/{name}")
    base = args.get("data") or os.environ.get("REWIND_BENCH_DATA") or IMAGE_DATA
    return (Path(base) / workload / name).read_bytes()


def _read_s3(args: dict[str, Any], key: str) -> bytes:
    import boto3  # noqa: PLC0415  only a request that names a bucket pays for it

    client = boto3.client(
        "s3",
        endpoint_url=args.get("endpoint"),
        aws_access_key_id=args.get("access_key"),
        aws_secret_access_key=args.get("secret_key"),
        region_name=args.get("region"),
    )
    content: bytes = client.get_object(Bucket=args["bucket"], Key=args.get("prefix", "") + key)["Body"].read()
    return content
