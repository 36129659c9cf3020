"""Bad input gets one clear message, a hint, and its own exit status."""

import os

import pytest
from helpers import copied_checkout, run

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


def test_a_set_below_a_value(tmp_path):
    said = run("run", "--profile", "smoke", "--set", "description.x=1", "--out", str(tmp_path))
    assert said.status == 10, said.text
    assert "--set description.x" in said.text
    assert "Traceback" not in said.text


def test_an_empty_list_is_not_everything(tmp_path):
    said = run("run", "--profile", "smoke", "--schemes", "", "--out", str(tmp_path))
    assert said.status == 10, said.text
    assert "names nothing" in said.text


def test_doctor_knows_its_testbeds():
    said = run("doctor", "--testbed", "bogus")
    assert said.status == 10, said.text
    assert "must be vm, local, all or user@host" in said.text


def test_a_set_without_value():
    said = run("run", "--set", "testbed.memory_mb")
    assert said.status == 10
    assert "KEY=VALUE" in said.text


def test_all_that_is_wrong_with_a_configuration_is_said_at_once(tmp_path):
    profile = tmp_path / "mine.toml"
    profile.write_text('description = 3\nschemes = ["basline"]\nworkloads = ["helo"]\n[testbed]\ncpu = 2\n')
    said = run("run", "--profile", str(profile))
    assert said.status == 10
    for part in ("description", "'basline' is unknown", "'helo' is unknown", "testbed.cpu: unknown key"):
        assert part in said.text


@pytest.fixture
def checkout(tmp_path):
    return copied_checkout(tmp_path / "checkout")


def test_a_workload_without_main_is_named(checkout):
    mine = checkout / "workloads" / "mine"
    mine.mkdir()
    (mine / "workload.toml").write_text('summary = "s"\norigin = "o"\n[sizes]\ntiny = {}\n')
    said = run("run", "--profile", "smoke", cwd=checkout)
    assert said.status == 10
    assert f"{mine}: main.py is missing" in said.text
    assert "Traceback" not in said.text


def test_a_run_without_qemu_says_so_before_it_builds(tmp_path):
    said = run("run", "--profile", "smoke", "--out", str(tmp_path / "runs"), env={"PATH": str(tmp_path)})
    assert said.status == 11, said.text
    assert "qemu-system-x86_64" in said.text
    assert "apt-get install" in said.text
    assert "Traceback" not in said.text


#: As a device that this user may not open; one that is not there is refused as well.
CLOSED_KVM = """
if [ -e /dev/kvm ]; then mount --bind /dev/kvm /dev/kvm && mount -o remount,bind,nodev /dev/kvm || exit 77; fi
exec "$@"
"""


def test_kvm_that_may_not_be_opened_is_said_before_anything_is_built(tmp_path):
    words = ("run", "--profile", "smoke", "--out", str(tmp_path), "--set", "testbed.accel=kvm")
    said = run(*words, around=in_own_mounts(CLOSED_KVM))
    assert said.status == 13, said.text
    assert "/dev/kvm" in said.text
    assert "usermod -aG kvm" in said.text


SMALL_CACHE = """
mount -t tmpfs -o size=1m tmpfs "$REWIND_BENCH_CACHE" || exit 77
exec "$@"
"""


def test_a_disk_that_fills_up_during_a_build_is_said(tmp_path):
    env = {"REWIND_BENCH_CACHE": str(tmp_path)}
    said = run("build", "--profile", "smoke", env=env, around=in_own_mounts(SMALL_CACHE))
    assert said.status == 14, said.text
    assert "disk full" in said.text
    assert "clean --cache" in said.text
    assert "Traceback" not in said.text


def in_own_mounts(script):
    """A shell script before the command, in mounts that nobody else sees."""
    user = () if os.geteuid() == 0 else ("-Ur",)
    return ("unshare", *user, "-m", "sh", "-c", script, "sh")


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
