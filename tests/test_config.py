from pathlib import Path

import pytest

from bench import config, plugins
from bench.errors import ConfigError
from bench.runner import plan

GOOD = """
description = "a test"
size = "tiny"
[experiments.latency]
requests = 7
scheme.cold = { requests = 2, warmup = 0 }
"""


def write(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.load(write(folder, text))
    return list(caught.value.problems)


def test_all_shipped_profiles_are_valid():
    for name in ("smoke", "quick", "paper"):
        resolved = config.load(name)
        assert resolved.schemes
        assert resolved.workloads
        assert resolved.settings


def test_settings_of_one_scheme_override_the_rest(tmp_path):
    settings = config.load(write(tmp_path, GOOD)).settings["latency"]
    assert settings.of("baseline").requests == 7
    assert settings.of("cold").requests == 2
    assert settings.of("cold").think_ms == settings.of("baseline").think_ms


def test_every_mistake_is_reported_at_once_with_file_and_key(tmp_path):
    text = """
    size = "tiny"
    colour = "red"
    schemes = ["baselin"]
    [testbed]
    cpus = "many"
    memroy_mb = 4096
    [experiments.latency]
    requests = 0
    scheme.cold = { reqests = 2 }
    [experiments.latncy]
    """
    found = problems(tmp_path, text)
    assert all(str(tmp_path / "mine.toml") in line for line in found)
    for key in (
        "description: is required",
        "colour: unknown key",
        "testbed.cpus",
        "testbed.memroy_mb: unknown key",
        "experiments.latency: requests",
        "reqests",
        "experiments.latncy",
    ):
        assert any(key in line for line in found), f"{key} not in {found}"


def test_unknown_names_come_with_a_guess(tmp_path):
    found = problems(tmp_path, GOOD + 'workloads = ["matmull"]\n')
    assert found
    found = problems(tmp_path, 'schemes = ["baselin"]\nworkloads = ["matmull"]\n' + GOOD)
    assert any("'baselin' is unknown" in line and "'baseline'" in line for line in found)
    assert any("'matmull' is unknown" in line and "'matmul'" in line for line in found)


def test_a_size_that_a_workload_does_not_have(tmp_path):
    found = problems(tmp_path, GOOD.replace('"tiny"', '"huge"'))
    assert any("has no size 'huge'" in line and "tiny" in line for line in found)


def test_a_profile_that_is_not_there_lists_those_that_are():
    with pytest.raises(ConfigError) as caught:
        config.load("nosuch")
    assert "smoke" in caught.value.hint
    assert "quick" in caught.value.hint


def test_not_toml(tmp_path):
    assert any("not valid TOML" in line for line in problems(tmp_path, "a = = b"))


def test_ssh_needs_user_and_host(tmp_path):
    assert any("user@host" in line for line in problems(tmp_path, GOOD + '[testbed]\nkind = "ssh"\n'))


def test_a_workload_without_main_is_named(tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "workload.toml").write_text('summary = "s"\norigin = "o"\n[sizes]\ntiny = {}\n')
    with pytest.raises(ConfigError, match=r"broken: main\.py is missing"):
        plugins.workloads(tmp_path)
    (folder / "main.py").write_text("def other():\n    pass\n")
    with pytest.raises(ConfigError, match="has no function 'main'"):
        plugins.workloads(tmp_path)


def test_a_scheme_with_several_faults_names_each(tmp_path):
    for name, text in (("one", "sumary = 'x'\n"), ("two", "summary = 3\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scheme.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        plugins.schemes(tmp_path)
    text = str(caught.value)
    assert "one/scheme.toml: summary: is required" in text
    assert "one/scheme.toml: sumary: unknown key" in text
    assert "two/scheme.toml: summary" in text


def test_overrides_from_the_command_line_reach_their_key(tmp_path):
    resolved = config.load(write(tmp_path, GOOD), {"testbed.memory_mb": 8192, "schemes": ["baseline"]})
    assert resolved.profile.testbed.memory_mb == 8192
    assert [scheme.name for scheme in resolved.schemes] == ["baseline"]


def test_a_testbed_without_our_kernel_leaves_out_what_needs_it(tmp_path, monkeypatch):
    schemes = plugins.schemes()
    patched = plugins.Scheme("patched", tmp_path, plugins.SchemeSpec(summary="s", needs_kernel=True))
    monkeypatch.setattr(config, "schemes", lambda: {**schemes, "patched": patched})
    path = write(tmp_path, GOOD)
    assert "patched" in {scheme.name for scheme in config.load(path).schemes}
    local = config.load(path, {"testbed.kind": "local"})
    assert "patched" not in {scheme.name for scheme in local.schemes}


def test_a_scheme_that_must_be_named_takes_part_where_it_is(tmp_path):
    """In the one experiment that names it; in all when the profile does."""
    profile = tmp_path / "ablation.toml"
    named = '[experiments.restore]\nschemes = ["rewind-profile"]\n'
    profile.write_text('description = "x"\n[experiments.latency]\n' + named)
    cells = plan(config.load(str(profile)))
    assert {cell.scheme.name for cell in cells if cell.experiment == "restore"} == {"rewind-profile"}
    others = {cell.scheme.name for cell in cells if cell.experiment == "latency"}
    assert "rewind" in others
    assert "rewind-profile" not in others
    cells = plan(config.load(str(profile), {"schemes": ["rewind-profile"]}))
    assert {(cell.experiment, cell.scheme.name) for cell in cells} == {
        ("latency", "rewind-profile"),
        ("restore", "rewind-profile"),
    }


def test_the_choice_of_schemes_holds_for_experiments_that_name_others():
    resolved = config.load("smoke", {"schemes": ["baseline"]})
    assert [scheme.name for scheme in resolved.schemes] == ["baseline"]
    assert "rewind-profile" in {scheme.name for scheme in config.load("quick").schemes}
