"""The published artifact's launcher protocol, from Python, on the kernel as it stands."""

from __future__ import annotations

import pytest

from bench.build.kernel import Kernel, kernel_step
from bench.build.step import ensure
from bench.kernel import cost, plan, splat, tap
from bench.kernel.boot import Ending, Options, boot

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(not plan.has_series(), reason="no patch series: there are no such calls"),
]


def test_the_published_launcher_works_from_python(tmp_path):
    command = f"{cost.ENVIRONMENT} {cost.PYTHON} -B /bench/published_launcher.py"
    initramfs = cost.python_initramfs(tmp_path / "work", ["published_launcher.py"], [command])
    image = Kernel(ensure(kernel_step("release"))).image
    done = boot(image, initramfs, tmp_path, Options(memory_mb=1024), limit_s=600.0)
    results = tap.parse(done.results.splitlines())
    cases = [case for program in results.programs for case in program.cases]
    assert done.ending is Ending.POWERED_OFF
    assert results.complete
    assert [
        (case.name, case.verdict.value, case.diagnostics) for case in cases if case.verdict.value != "pass"
    ] == []
    assert [case.name for case in cases] == ["argument 1", "argument 2"]
    assert splat.find_splats(done.console) == ()
