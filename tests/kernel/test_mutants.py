"""Mutants: each names a test that exists; a mutant that stays green is the failure."""

import fnmatch
import subprocess

import pytest

from bench.errors import ConfigError
from bench.kernel import mutants, selftests, suite
from bench.kernel.suite import Verdict

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def binaries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("binaries")
    selftests.compile_programs(sorted({mutant.test.split()[0] for mutant in mutants.all_mutants()}), folder)
    return folder


def test_every_mutant_names_a_case_that_exists(binaries):
    for mutant in mutants.all_mutants():
        words = mutant.piece.commands[0].split()
        pattern = words[words.index("-t") + 1] if "-t" in words else "*"
        program = next(word for word in words if word.startswith("/selftests/")).rsplit("/")[-1]
        if program not in suite.case_programs():
            continue  # one that has no cases
        listing = subprocess.run([binaries / program, "-l"], capture_output=True, text=True, check=True)
        assert any(fnmatch.fnmatchcase(case, pattern) for case in listing.stdout.splitlines()), mutant.name


def test_green_is_the_problem():
    mutant = mutants.Mutant(None, "copies nothing", "smoke", "")
    green = Verdict("mutant", (), 3, (), 1.0)
    red = Verdict("mutant", ("smoke: nothing changed",), 2, (), 1.0)
    assert mutants.inverted(mutant, green).problems == ("'smoke' stays green although: copies nothing",)
    assert mutants.inverted(mutant, red).problems == ()


def test_a_mutant_without_a_test_is_refused(tmp_path):
    (tmp_path / "01-x.patch").write_text("Subject: something\n\n---\n")
    with pytest.raises(ConfigError):
        mutants.all_mutants(tmp_path)
