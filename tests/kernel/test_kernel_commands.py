"""Commands refuse what is no kernel before anything is built."""

import pytest

from bench.errors import ConfigError
from bench.kernel import commands, suite


def test_a_comparison_of_nothing(tmp_path):
    with pytest.raises(ConfigError) as caught:
        commands.compare_kernels(tmp_path / "nothing", tmp_path, tmp_path / "out")
    assert "neither a folder of patches, nor a kernel tree" in caught.value.message


def test_the_cost_of_nothing(tmp_path):
    with pytest.raises(ConfigError):
        commands.kernel_cost(tmp_path, tmp_path / "out")


def test_what_was_skipped_is_said():
    verdict = suite.Verdict("short", (), 7, ("trace: a refusal",), 1.0)
    assert commands.summary_of(verdict).splitlines() == [
        "short: 7 passed, 1 skipped, 0 problems",
        "  skipped: trace: a refusal",
    ]


def test_a_replay_of_what_is_no_random_program():
    with pytest.raises(ConfigError, match="no random program"):
        commands.kernel_test(replay="memory -s 1")


def test_one_program_and_everything_exclude_each_other():
    with pytest.raises(ConfigError, match="exclude each other"):
        commands.kernel_test(full=True, only="smoke")
    with pytest.raises(ConfigError, match="names no self-test"):
        commands.kernel_test(only="nothing")
