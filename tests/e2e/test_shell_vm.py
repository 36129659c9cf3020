"""`rewind-bench vm` boots the guest and runs what one asks."""

import pytest
from helpers import run

from bench.build.kernel import Kernel, kernel_step

pytestmark = pytest.mark.vm


def test_a_command_runs_in_the_guest_and_its_status_comes_back():
    said = run("vm", "--profile", "smoke", "--", "uname", "-r")
    assert said.status == 0, said.text
    assert Kernel(kernel_step().product).release in said.text
