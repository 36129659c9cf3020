"""The checks of `imgproc` with numpy on the decoded pixels.

Exact where the operation is exact (moves of pixels, small integer kernels, the fixed-point
luminance of ITU-R 601): the same pixels give the same file from the same encoder. Of the
thumbnail, whose resampling is Pillow's own, the mean colours within the workload's tolerance.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]

RING = [(y, x) for y in range(5) for x in range(5) if y in (0, 4) or x in (0, 4)]
AROUND = [(y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1)]
LUMINANCE = (19595, 38470, 7471)  # of 65536
LONGEST = 128


def expected(params: dict[str, Any]) -> dict[str, Any]:
    """The answer for the image `image` below `data`, else below `$REWIND_BENCH_DATA`."""
    base = Path(params.get("data") or os.environ["REWIND_BENCH_DATA"])
    source = (base / "imgproc" / params["image"]).read_bytes()
    pixels = np.asarray(Image.open(io.BytesIO(source)).convert("RGB"))
    height, width, _ = pixels.shape
    scale = LONGEST / max(width, height)
    return {
        "source": zlib.crc32(source),
        "size": [width, height],
        **{name: _crc_of_jpeg(variant) for name, variant in _variants(pixels)},
        "thumbnail": {
            "size": [round(width * scale), round(height * scale)],
            "mean": pixels.mean(axis=(0, 1)).tolist(),
        },
    }


def _crc_of_jpeg(pixels: Bytes) -> int:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG")
    return zlib.crc32(file.getvalue())


def _variants(pixels: Bytes) -> Iterator[tuple[str, Bytes]]:
    yield "flip_left_right", pixels[:, ::-1]
    yield "flip_top_bottom", pixels[::-1]
    yield "rotate_90", np.rot90(pixels)
    yield "rotate_180", pixels[::-1, ::-1]
    yield "rotate_270", np.rot90(pixels, -1)
    yield "blur", _blur(pixels)
    yield "contour", _filter(pixels, 8, -1, 1, 255)
    yield "sharpen", _filter(pixels, 32, -2, 16, 0)
    wide = pixels.astype(np.int32)
    grey = sum(wide[:, :, channel] * part for channel, part in enumerate(LUMINANCE)) + 0x8000
    yield "grey", (np.asarray(grey) >> 16).astype(np.uint8)


def _blur(pixels: Bytes) -> Bytes:
    """The mean of the 16 pixels at distance two; a border of two pixels stays as it is."""
    return _inner(pixels, 2, sum(_shifted(pixels, 5, y, x) for y, x in RING), 16, 0)


def _filter(pixels: Bytes, centre: int, other: int, divisor: int, offset: int) -> Bytes:
    """A 3 x 3 kernel; a border of one pixel stays as it is."""
    total = centre * _shifted(pixels, 3, 1, 1) + other * sum(_shifted(pixels, 3, y, x) for y, x in AROUND)
    return _inner(pixels, 1, total, divisor, offset)


def _shifted(pixels: Bytes, kernel: int, y: int, x: int) -> NDArray[np.int32]:
    height, width = pixels.shape[0] - kernel + 1, pixels.shape[1] - kernel + 1
    return pixels[y : y + height, x : x + width].astype(np.int32)


def _inner(pixels: Bytes, border: int, total: Any, divisor: int, offset: int) -> Bytes:
    filtered = pixels.copy()
    rounded = np.floor_divide(2 * total + divisor, 2 * divisor) + offset
    filtered[border:-border, border:-border] = np.clip(rounded, 0, 255)
    return filtered
