"""imgproc: its images, where they come from, and the files that it leaves."""

import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.check import Expected, expected, mismatch
from bench.paths import ROOT
from bench.plugins import workloads

SHARED = Path(os.environ.get("REWIND_BENCH_SHARED_DATA", ROOT.parent / "shared" / "data"))
PHOTOGRAPHS = ("image.jpg", "animal-dog.jpg")


def photographs(generated: Path) -> list[Path]:
    """The project's two photographs where they are present, else the generated equivalents."""
    found = [SHARED / name for name in PHOTOGRAPHS]
    return found if all(path.is_file() for path in found) else sorted((generated / "imgproc").glob("*.jpg"))


def test_photographs_are_processed_as_numpy_says(workload_module, generated_images, tmp_path):
    # A quarter of their size: the whole of it is for the benchmark, not for a unit test.
    (tmp_path / "imgproc").mkdir()
    for path in photographs(generated_images):
        with Image.open(path) as photograph:
            if photograph.width > 2000:
                photograph.draft("RGB", (photograph.width // 4, photograph.height // 4))
            photograph.save(tmp_path / "imgproc" / path.name, "JPEG")
        params = {"image": path.name, "data": str(tmp_path)}
        result = workload_module("imgproc").main(params | {"scratch": str(tmp_path)})
        due = Expected(workload_module("imgproc", "oracle").expected(params), 0.01)
        assert mismatch(result, due) == ""


def test_generated_images_have_their_sizes(workload_module, generated_images):
    for name, size in workload_module("imgproc", "data").SIZES.items():
        with Image.open(generated_images / "imgproc" / name) as image:
            assert image.size == size


def test_generated_image_is_like_a_photograph(generated_images):
    pixels = np.asarray(Image.open(generated_images / "imgproc" / "paper.jpg").convert("L")).astype(float)
    assert 40 < pixels.mean() < 215
    assert pixels.std() > 20
    # neighbouring pixels are alike, distant ones are not
    near = np.abs(pixels[:, 1:] - pixels[:, :-1]).mean()
    far = np.abs(pixels[:, 1000:] - pixels[:, :-1000]).mean()
    assert near * 4 < far


def test_generated_images_are_the_ones_that_results_are_expected_of(generated_images):
    imgproc = workloads()["imgproc"]
    for size, params in imgproc.spec.sizes.items():
        content = (generated_images / "imgproc" / params["image"]).read_bytes()
        assert zlib.crc32(content) == expected(imgproc, size).result["source"]


def test_variants_are_left_in_the_scratch_folder(workload_module, input_data, tmp_path):
    result = workload_module("imgproc").main({"image": "tiny.jpg", "scratch": str(tmp_path)})
    names = result.keys() - {"source", "size"}
    assert {path.name for path in tmp_path.iterdir()} == {f"imgproc-{name}.jpg" for name in names}


def test_missing_image_fails(workload_module, tmp_path):
    with pytest.raises(FileNotFoundError):
        workload_module("imgproc").main({"image": "none.jpg", "data": str(tmp_path)})
