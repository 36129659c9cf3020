"""Bad input gets one clear message, a hint, and its own exit status."""

import pytest
from helpers import run

pytestmark = pytest.mark.slow


def test_an_unknown_key_names_file_and_key(tmp_path):
    profile = tmp_path / "mine.toml"
    profile.write_text('description = "x"\nsiez = "tiny"\n[experiments.latency]\nrequest = 3\n')
    said = run("run", "--profile", str(profile))
    assert said.status == 10
    assert f"{profile}: siez: unknown key" in said.text
    assert f"{profile}: experiments.latency: request: unknown key" in said.text
    assert "hint:" in said.text
    assert "Traceback" not in said.text


def test_an_unknown_scheme_lists_those_there_are():
    said = run("run", "--profile", "smoke", "--schemes", "basline")
    assert said.status == 10
    assert "'basline' is unknown" in said.text
    assert "Did you mean 'baseline'?" in said.text


def test_an_unknown_profile_lists_those_there_are():
    said = run("run", "--profile", "nosuch")
    assert said.status == 10
    assert "smoke" in said.text


def test_a_set_without_value():
    said = run("run", "--set", "testbed.memory_mb")
    assert said.status == 10
    assert "KEY=VALUE" in said.text


def test_no_qemu_says_how_to_get_it(tmp_path):
    said = run("doctor", env={"PATH": str(tmp_path)})
    assert said.status == 11
    assert "qemu-system-x86" in said.text
    assert "apt-get install" in said.text


def test_a_report_of_no_run(tmp_path):
    said = run("report", str(tmp_path))
    assert said.status == 2
    assert "is not a run folder" in said.text


@pytest.mark.parametrize("words", [("nosuchcommand",), ("run", "--nosuchoption"), ()])
def test_wrong_use_shows_the_usage(words):
    said = run(*words)
    assert said.status in (0, 2)
    assert "Usage" in said.text
    assert "Traceback" not in said.text
