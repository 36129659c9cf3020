"""The kernel's self-tests as pytest results: a boot of the release kernel, with one result per program, and
a shorter one of the debug kernel.

Which tests exist follows from what is there: without a patch series only the boot of the kernel as
it is, which must be told apart from one that has the facility (with a series, the full run does that).
"""

from __future__ import annotations

import pytest

from bench.build.kernel import Kernel, kernel_step
from bench.build.step import ensure
from bench.kernel import plan, selftests, suite
from bench.kernel.boot import Ending, Options

pytestmark = pytest.mark.vm


if plan.has_series():

    def boot(image, piece, folder):
        options = {"options": piece.options, "limit_s": piece.limit_s, "situations": piece.situations}
        return selftests.run(image, piece.commands, folder, **options)

    @pytest.fixture(scope="module")
    def release_boot(tmp_path_factory):
        (piece,) = suite.short_pieces()
        image = Kernel(ensure(kernel_step("release"))).image
        folder = tmp_path_factory.mktemp("release")
        return boot(image, piece, folder)

    def check(report, name):
        programs = [program for program in report.results.programs if program.name == name]
        failures = [case for program in programs for case in program.failures]
        lines = [f"{case.name}\n    " + "\n    ".join(case.diagnostics) for case in failures]
        assert programs, f"{name} never ran; {report.problems[-1:]}"
        assert not failures, "\n".join([f"{len(failures)} failed (log: {report.boot.folder})", *lines])

    @pytest.mark.parametrize("name", selftests.programs())
    def test_release(release_boot, name):
        check(release_boot, name)

    def test_release_has_no_other_problem(release_boot):
        assert release_boot.problems == ()
        assert release_boot.boot.ending is Ending.POWERED_OFF

    def test_the_debug_kernel_has_no_complaint(tmp_path):
        piece = plan.debug_slice()
        image = Kernel(ensure(kernel_step("debug"))).image
        assert boot(image, piece, tmp_path).problems == ()

else:

    def test_a_kernel_without_the_series_is_told_apart(tmp_path):
        image = Kernel(ensure(kernel_step("release"))).image  # as it is, without a series
        report = selftests.run(image, [suite.command("smoke")], tmp_path, options=Options())
        (program,) = report.results.programs
        assert report.boot.ending is Ending.POWERED_OFF
        assert report.results.complete
        assert "bailed out: this kernel has no REWIND" in program.cases[-1].diagnostics
        assert report.splats == ()
