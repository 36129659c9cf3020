"""Mutants: each names a test that exists; a mutant that stays green is the failure."""

import fnmatch
import subprocess
from pathlib import Path

import pytest

from bench.errors import BuildError, ConfigError
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


MUTANT = mutants.Mutant(Path("01-nothing.patch"), "copies nothing", 'smoke -t "some case"', "")


def judged(*problems):
    return mutants.inverted(MUTANT, Verdict("mutant", problems, 0, (), 1.0)).problems


@pytest.mark.parametrize(
    "problem",
    [
        "smoke: nothing changed",
        "smoke: the program as a whole: the boot ended while this ran",
        "smoke: nothing changed (REWIND_FLAGS=0 REWIND_SEED=1 /selftests/smoke)",
        "kernel KASAN: BUG: KASAN: in f (during smoke: some case), 2 times (log: x/console.log)",
    ],
)
def test_a_failure_of_its_own_program_finds_a_mutant(problem):
    assert judged(problem, "machine panicked (log: x)") == ()


@pytest.mark.parametrize(
    "problem",
    [
        "machine panicked (log: x)",
        "kernel panic: Kernel panic - not syncing: no init",
        "kernel warning: WARNING: CPU: 0 (during memory: smoke: store)",
        "smoke: the program as a whole: bailed out: this kernel has no REWIND",
        "smoke: the program as a whole: no plan line; exit status 127",
        "smoke: the program as a whole: bailed out: no memory (REWIND_SEED=1 /selftests/smoke)",
        "never began: /selftests/smoke",
        "init did not reach its end (log: x)",
    ],
)
def test_a_failure_elsewhere_does_not(problem):
    stays, *others = judged(problem)
    assert stays.endswith("stays green although: copies nothing")
    assert others == [problem]


def test_green_is_the_problem():
    assert len(judged()) == 1


def test_a_mutant_that_cannot_be_built_is_a_bad_verdict(tmp_path, monkeypatch):
    def fail(step):
        raise BuildError("patch 9999 does not apply")

    monkeypatch.setattr(mutants, "ensure", fail)
    patch = tmp_path / "01-nothing.patch"
    patch.write_text("Subject: nothing\nTest: smoke\n\n---\n--- a/x\n+++ b/x\n")
    (mutant,) = mutants.all_mutants(tmp_path)
    (problem,) = mutants.run(mutant, tmp_path / "out").problems
    assert problem == "cannot be built: patch 9999 does not apply"


def test_a_mutant_without_a_test_is_refused(tmp_path):
    (tmp_path / "01-x.patch").write_text("Subject: something\n\n---\n")
    with pytest.raises(ConfigError):
        mutants.all_mutants(tmp_path)
