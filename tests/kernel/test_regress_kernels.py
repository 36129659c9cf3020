"""A comparison of real kernels: a deliberate five percent is found, a rebuild is not accused.

Builds kernels (many minutes the first time, then cached).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.kernel import plan, regress, thresholds
from bench.paths import KERNEL

SLOWER = Path(__file__).parent / "data" / "slower.patch"
AXES = ("baselines", "dirty")
#: Another source, and so another build, of the same code.
COMMENT = """\
--- a/mm/rewind/common.c
+++ b/mm/rewind/common.c
@@ -1,5 +1,5 @@
 // SPDX-License-Identifier: GPL-2.0
 /*
- * Process checkpoint and rewind: what all parts share.
+ * Process checkpoint and rewind: what every part shares.
  */
 #include <linux/sched.h>
"""

pytestmark = [pytest.mark.vm, pytest.mark.timeout(5400)]

if plan.has_series():

    @pytest.fixture(scope="module")
    def limits():
        return thresholds.Thresholds(**{**thresholds.load().model_dump(), "selftests": ("smoke",)})

    def test_five_percent_slower_copies_are_found(tmp_path, limits):
        series = tmp_path / "patches"
        shutil.copytree(KERNEL / "patches", series)
        shutil.copy(SLOWER, series / "9999-slower.patch")
        comparison = regress.run(series, KERNEL / "patches", tmp_path / "out", limits, axes=AXES)
        changes = {change.figure: change for change in comparison.changes}
        for figure in ("rewind_per_dirty_page_ns", "rewind_per_dirty_page_one_new_ns"):
            change = changes[figure]
            assert change.worse
            assert 0.04 < change.new / change.old - 1 < 0.06
        with pytest.raises(regress.RegressionError):
            regress.check(comparison, tmp_path / "out")

    def test_other_words_in_a_comment_are_not_accused(tmp_path, limits):
        copy = tmp_path / "patches"
        shutil.copytree(KERNEL / "patches", copy)
        (copy / "9999-comment.patch").write_text(COMMENT)
        assert regress.image_of(copy) != regress.image_of(KERNEL / "patches")
        comparison = regress.run(copy, KERNEL / "patches", tmp_path / "out", limits, axes=AXES)
        assert comparison.regressions == []
        assert all(change.old == change.new for change in comparison.changes)
