"""Commands refuse what is no kernel before anything is built."""

import pytest

from bench.errors import ConfigError
from bench.kernel import commands


def test_a_comparison_of_nothing(tmp_path):
    with pytest.raises(ConfigError) as caught:
        commands.compare_kernels(tmp_path / "nothing", tmp_path, tmp_path / "out")
    assert "neither a folder of patches, nor a kernel tree" in caught.value.message


def test_the_cost_of_nothing(tmp_path):
    with pytest.raises(ConfigError):
        commands.kernel_cost(tmp_path, tmp_path / "out")
