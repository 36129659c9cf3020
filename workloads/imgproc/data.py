"""Makes imgproc's input: three JPEGs with the statistics of a photograph, the same on every machine.

    python data.py TARGET_FOLDER

A landscape of fractal noise (its spectrum falls as 1/f, like that of natural images) under a sky,
with sharp-edged foreground shapes and sensor noise. Integer arithmetic only, because
vectorised floating-point functions differ in the last bit between processors.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZES = {"tiny.jpg": (150, 100), "small.jpg": (320, 213), "paper.jpg": (4288, 2848)}
SEED = 20240710
QUALITY = 90
FRACTION_BITS = 8
SHAPES = 40

Pixels = NDArray[np.int32]


def generate(target: Path) -> list[Path]:
    """Write the images into `target` (made if need be); existing ones are replaced."""
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (width, height) in SIZES.items():
        path = target / name
        picture = Image.fromarray(_photograph(width, height))
        picture.save(path, "JPEG", quality=QUALITY, dpi=(300, 300))
        written.append(path)
    return written


def _photograph(width: int, height: int) -> NDArray[np.uint8]:
    draw = np.random.Generator(np.random.PCG64(SEED))
    light = _fractal_noise(draw, width, height)
    pixels = np.empty((height, width, 3), np.int32)
    sky = np.arange(height, dtype=np.int32)[:, None] * 80 // height
    for channel, (base, gain) in enumerate([(70, 100), (80, 95), (105, 70)]):
        pixels[:, :, channel] = base + light * gain // 256 - sky * (channel - 1)
    for _ in range(SHAPES):
        _add_shape(draw, pixels)
    pixels += draw.integers(-4, 5, size=(height, width, 1), dtype=np.int32)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _fractal_noise(draw: np.random.Generator, width: int, height: int) -> Pixels:
    """Octaves of smooth noise, each twice as fine and half as strong as the one before: 0 to 255."""
    total = np.zeros((height, width), np.int32)
    cells, weight = 2, 128
    while weight > 1 and cells <= width:
        knots = draw.integers(0, 256, size=(cells + 2, cells + 2), dtype=np.int32)
        total += _stretch(knots, width, height, cells) * weight // 256
        cells, weight = cells * 2, weight // 2
    return total


def _stretch(knots: Pixels, width: int, height: int, cells: int) -> Pixels:
    """Bilinear interpolation of `cells` x `cells` knots to the picture's size, in fixed point."""
    one = 1 << FRACTION_BITS
    row, row_part = np.divmod(np.arange(height, dtype=np.int32) * cells * one // height, one)
    column, column_part = np.divmod(np.arange(width, dtype=np.int32) * cells * one // width, one)
    lines = knots[row] * (one - row_part)[:, None] + knots[row + 1] * row_part[:, None]
    lines >>= FRACTION_BITS
    mixed: Pixels = lines[:, column] * (one - column_part) + lines[:, column + 1] * column_part
    return mixed >> FRACTION_BITS


def _add_shape(draw: np.random.Generator, pixels: Pixels) -> None:
    """Tint an ellipse: photographs have edges, which is what the filters work on."""
    height, width, _ = pixels.shape
    middle_x, middle_y = int(draw.integers(0, width)), int(draw.integers(height // 3, height))
    radius_x = int(draw.integers(width // 60 + 1, width // 10 + 2))
    radius_y = int(draw.integers(height // 60 + 1, height // 8 + 2))
    tint = draw.integers(-60, 61, size=3, dtype=np.int32)
    top, left = max(0, middle_y - radius_y), max(0, middle_x - radius_x)
    area = pixels[top : middle_y + radius_y + 1, left : middle_x + radius_x + 1]
    y = np.arange(top, top + area.shape[0], dtype=np.int64)[:, None] - middle_y
    x = np.arange(left, left + area.shape[1], dtype=np.int64) - middle_x
    area[(x * radius_y) ** 2 + (y * radius_x) ** 2 <= (radius_x * radius_y) ** 2] += tint


if __name__ == "__main__":
    generate(Path(sys.argv[1]))
