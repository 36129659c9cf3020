"""`rewind-bench vm` boots the guest and runs what one asks."""

import os
import shutil
from pathlib import Path

import pytest
from helpers import run

from bench.build.kernel import Kernel, kernel_step
from bench.hosts.leftovers import read_note
from bench.paths import state_dir

pytestmark = pytest.mark.vm

#: A QEMU whose guests have a first process that ends at once.
WITHOUT_INIT = """\
#!/bin/bash
for word; do
  [ "$before" = -append ] && word="$word init=/bin/false"
  words+=("$word")
  before="$word"
done
exec {qemu} "${{words[@]}}"
"""


def test_a_command_runs_in_the_guest_and_its_status_comes_back():
    said = run("vm", "--profile", "smoke", "--", "uname", "-r")
    assert said.status == 0, said.text
    assert Kernel(kernel_step().product).release in said.text


def test_a_guest_that_panics_at_boot_is_told_with_the_kernels_words(tmp_path):
    wrapper = tmp_path / "qemu-system-x86_64"
    wrapper.write_text(WITHOUT_INIT.format(qemu=shutil.which(wrapper.name)))
    wrapper.chmod(0o755)
    before = machines()
    said = run("vm", "--profile", "smoke", "--", "true", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert said.status == 30, said.text
    assert "Attempted to kill init" in said.text
    assert "hint: " in said.text
    assert "Traceback" not in said.text
    assert machines() <= before


def machines() -> set[Path]:
    """Guests of living and dead harnesses."""
    return {where for where in (state_dir() / "vms").glob("*") if read_note(where)}
