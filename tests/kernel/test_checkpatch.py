"""Every patch is as checkpatch.pl wants it, and as git takes it: the script in a small tree, the series."""

import email
import email.utils
import os
import re
import subprocess

import pytest

from bench.build.kernel import series_of
from bench.build.step import Product
from bench.errors import BuildError
from bench.kernel import checkpatch, each

#: In place of perl, which the host need not have: says of a patch what stands in it after "says ".
PERL = """\
#!/bin/sh
for patch; do :; done
sed -n "s|^says |$patch:|p" "$patch"
exit $(sed -n "s/^status //p" "$patch")
"""
WARNING = "says 9: WARNING:LINE_SPACING: Missing a blank line"
ERROR = r"says 12: ERROR:SPACING: space required before that '\n'"


@pytest.fixture
def say(tmp_path):
    """What the script says of patches, each of (name, status, what checkpatch says, whether it applies)."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "perl").write_text(PERL)
    (tmp_path / "bin" / "perl").chmod(0o755)
    patches, tree = tmp_path / "patches", tmp_path / "tree"
    patches.mkdir()
    tree.mkdir()

    def run(*series):
        for name, status, says, applies in series:
            hunk = "@@ -0,0 +1 @@\n+x\n" if applies else "@@ -1 +1 @@\n-y\n+x\n"
            text = f"status {status}\n{says}\n---\n--- /dev/null\n+++ b/{name}\n{hunk}"
            (patches / f"{name}.patch").write_text(text)
        environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
        argv = ["sh", "-c", checkpatch.SCRIPT, "checkpatch.sh", str(patches)]
        done = subprocess.run(argv, cwd=tree, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    return run


def test_a_warning_is_told_and_no_problem(say):
    lines = say(("a", 0, "", True), ("b", 1, WARNING, True))
    assert lines == [
        "ok a.patch",
        "ok b.patch",
        "b.patch:9: WARNING:LINE_SPACING: Missing a blank line",
    ]


def test_an_error_is_a_problem_with_its_place_and_the_next_patch_is_checked(say):
    lines = say(("a", 1, f"{WARNING}\n{ERROR}", True), ("b", 0, "", True))
    place = r"a.patch:12: ERROR:SPACING: space required before that '\n'"
    assert checkpatch.problems_of("\n".join(lines)) == [place]
    assert "ok b.patch" in lines
    assert "ok a.patch" not in lines


def test_a_checker_that_did_not_run_is_a_problem(say):
    (line, *_) = say(("a", 2, "says  Must be run from the top-level dir. of a kernel tree", True))
    assert line.startswith("failed a.patch: checkpatch.pl ended with status 2: ")
    assert line.endswith("Must be run from the top-level dir. of a kernel tree")


def test_a_patch_that_does_not_apply_ends_the_check(say):
    lines = say(("a", 0, "", False), ("b", 0, "", True))
    assert "failed a.patch: does not apply" in lines
    assert "ok b.patch" not in lines


def test_what_was_said_is_the_verdict(tmp_path, monkeypatch):
    said = "ok a.patch\nfailed b.patch:3: ERROR:X: y\nc.patch:1: WARNING:Z: z\n"
    (tmp_path / checkpatch.RESULTS).write_text(said)
    monkeypatch.setattr(checkpatch, "ensure", lambda step: Product(step.name, step.digest, tmp_path))
    found = checkpatch.verdict(tmp_path / "checkpatch")
    assert found.problems == ("b.patch:3: ERROR:X: y",)
    assert found.passed == 1
    assert (tmp_path / "checkpatch" / checkpatch.RESULTS).read_text() == said


def test_a_check_that_could_not_be_made_is_a_problem(tmp_path, monkeypatch):
    def fail(step):
        raise BuildError("no mirror")

    monkeypatch.setattr(checkpatch, "ensure", fail)
    assert checkpatch.verdict(tmp_path / "checkpatch").problems == ("no mirror",)


@pytest.mark.parametrize("patch", series_of(each.PATCHES), ids=lambda path: path.name[:4])
def test_git_am_takes_each_patch(patch):
    first, _, rest = patch.read_text().partition("\n")
    assert re.fullmatch(r"From [0-9a-f]{40} Mon Sep 17 00:00:00 2001", first)
    message = email.message_from_string(rest)
    name, address = email.utils.parseaddr(" ".join(message["From"].split()))
    assert name
    assert "@" in address
    assert email.utils.parsedate_to_datetime(message["Date"])
    assert re.match(r"\[PATCH[^]]*\] \S", message["Subject"])
    log, separator, changes = message.get_payload().partition("\n---\n")
    assert separator
    assert f"Signed-off-by: {name} <{address}>" in log.splitlines()
    assert "\ndiff --git a/" in changes
