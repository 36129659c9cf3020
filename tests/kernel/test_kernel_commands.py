"""Commands refuse what makes no sense before anything is built."""

import pytest

from bench.errors import ConfigError
from bench.kernel import commands


def test_an_unknown_axis_is_named(tmp_path):
    with pytest.raises(ConfigError) as caught:
        commands.kernel_cost(tmp_path / "bzImage", tmp_path, axes="dirty,colour")
    assert "colour" in caught.value.message
    assert "threads" in caught.value.message


def test_a_path_that_is_no_kernel_is_refused_before_a_build(tmp_path):
    with pytest.raises(ConfigError):
        commands.kernel_regress(tmp_path / "nothing", tmp_path / "neither", tmp_path / "out")
