"""What makes a kernel another kernel."""

import pytest

from bench.build.kernel import VARIANTS, kernel_step, series_of
from bench.errors import ConfigError
from bench.paths import KERNEL

PATCH = "Subject: a\n\n---\n--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+{}\n"


@pytest.fixture
def patches(tmp_path):
    folder = tmp_path / "patches"
    folder.mkdir()
    (folder / "0001-a.patch").write_text(PATCH.format("one"))
    return folder


def config(step):
    return str(step.inputs["config"])


def local_version(step):
    (make,) = [script for script in step.inputs["scripts"] if "make LOCALVERSION=" in script]
    return make.split("LOCALVERSION=")[1].split()[0]


def test_each_variant_is_its_own_product(patches):
    assert len({kernel_step(variant, patches=patches).digest for variant in VARIANTS}) == len(VARIANTS)


def test_a_changed_patch_changes_digest_and_release(patches):
    before = kernel_step(patches=patches)
    (patches / "0001-a.patch").write_text(PATCH.format("two"))
    after = kernel_step(patches=patches)
    assert before.digest != after.digest
    assert local_version(before) != local_version(after)
    assert config(before) == config(after)  # or every file would be compiled again


def test_unpatched_ignores_patches(patches):
    before = kernel_step("unpatched", patches=patches)
    (patches / "0002-b.patch").write_text(PATCH.format("more"))
    assert kernel_step("unpatched", patches=patches).digest == before.digest


def test_a_cover_letter_is_no_patch(patches):
    before = kernel_step(patches=patches)
    (patches / "0000-cover-letter.patch").write_text("Subject: [PATCH 0/1] all\n\n---\n a | 1 +\n-- \n2.39\n")
    assert kernel_step(patches=patches).digest == before.digest
    (patches / "0001-a.patch").unlink()
    assert "CONFIG_REWIND=y" not in config(kernel_step("release", patches=patches))


def test_every_patch_of_ours_is_one():
    assert series_of(KERNEL / "patches") == tuple(sorted((KERNEL / "patches").glob("*.patch")))


def test_facility_is_configured_only_where_it_is_patched_in(patches, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "CONFIG_REWIND=y" in config(kernel_step("release", patches=patches))
    assert "CONFIG_REWIND=y" in config(kernel_step("debug", patches=patches))
    assert "CONFIG_REWIND=y" not in config(kernel_step("norewind", patches=patches))
    assert "CONFIG_REWIND=y" not in config(kernel_step("unpatched", patches=patches))
    assert "CONFIG_REWIND=y" not in config(kernel_step("release", patches=empty))


def test_release_name_fits_what_uname_holds():
    suffix = local_version(kernel_step("unpatched"))
    assert suffix.startswith("-rewind-bench-unpatched-")
    assert len("6.12.1234") + len(suffix) < 64


def test_wrong_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nothing-here"):
        kernel_step(source=tmp_path / "nothing-here")
