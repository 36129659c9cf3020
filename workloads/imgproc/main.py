"""One photograph through the usual image operations (FunctionBench's image_processing)."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import storage
from PIL import Image, ImageFilter, ImageStat

THUMBNAIL = (128, 128)

# Pillow loads its file formats at their first use: here, so that no request pays for the import.
Image.preinit()


#: Nobody's data, for a call before the checkpoint (runtimes/rewind-warm).
WARM_UP = {"image": "tiny.jpg"}


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Write each variant of `image` to `scratch` (/tmp) as JPEG; return checksums of those files.

    The files stay, as FunctionBench leaves them: what a request wrote is state that a scheme
    does or does not undo.
    """
    source = storage.read(args, "imgproc", args["image"])
    scratch = Path(args.get("scratch", "/tmp"))  # noqa: S108  a container's own
    image = Image.open(io.BytesIO(source)).convert("RGB")
    result: dict[str, Any] = {"source": zlib.crc32(source), "size": list(image.size)}
    for name, variant in _variants(image):
        path = scratch / f"imgproc-{name}.jpg"
        variant.save(path, "JPEG")
        result[name] = zlib.crc32(path.read_bytes())
    result["thumbnail"] = _thumbnail(image, scratch / "imgproc-thumbnail.jpg")
    return result


def _variants(image: Image.Image) -> Iterator[tuple[str, Image.Image]]:
    yield "flip_left_right", image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    yield "flip_top_bottom", image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    yield "rotate_90", image.transpose(Image.Transpose.ROTATE_90)
    yield "rotate_180", image.transpose(Image.Transpose.ROTATE_180)
    yield "rotate_270", image.transpose(Image.Transpose.ROTATE_270)
    yield "blur", image.filter(ImageFilter.BLUR)
    yield "contour", image.filter(ImageFilter.CONTOUR)
    yield "sharpen", image.filter(ImageFilter.SHARPEN)
    yield "grey", image.convert("L")


def _thumbnail(image: Image.Image, path: Path) -> dict[str, Any]:
    image.thumbnail(THUMBNAIL)
    image.save(path, "JPEG")
    with Image.open(path) as written:
        return {"size": list(written.size), "mean": ImageStat.Stat(image).mean}
