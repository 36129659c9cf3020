"""Pieces of a run: what is run, what is not run twice, and what counts as a problem."""

import dataclasses
from pathlib import Path

import pytest

from bench.kernel import plan, selftests, skips, splat, suite, tap
from bench.kernel.boot import Boot, Ending


def report(text, ending=Ending.POWERED_OFF, commands=None, situations=()):
    results = tap.parse(text.splitlines())
    boot = Boot("", text, ending, 1.0, Path("somewhere"))
    ran = tuple(program.command for program in results.programs)
    return selftests.Report(results, (), boot, ran if commands is None else commands, situations)


def oracle_text(**counts):
    lines = ["# program begins: /selftests/oracle -s 1", "1..1", "ok 1 random program"]
    lines += [f"# operations {kind} {count}" for kind, count in counts.items()]
    return "\n".join([*lines, "# program ends: status 0 signal 0 after 1.000 s", "# all programs ended"])


def test_a_million_operations_are_spread_over_pieces_and_ablations():
    pieces = suite.oracle_pieces(seed=5, operations=1_000_000)
    lines = [line for piece in pieces for line in piece.commands]
    seeds = {line.split("-s ")[1].split()[0] for line in lines}
    flags = {line.split()[0] for line in lines}
    assert len(seeds) == len(lines) == 500
    assert flags == {f"REWIND_FLAGS={value}" for value in suite.ABLATIONS.values()}
    assert all(piece.limit_s <= 5400 for piece in pieces)
    assert len({piece.name for piece in pieces}) == len(pieces)


def test_states_are_tried_from_many_seeds_under_each_ablation():
    pieces = suite.states_pieces(seed=5)
    lines = [line for piece in pieces for line in piece.commands]
    assert len({line.split("-s ")[1].split()[0] for line in lines}) == len(lines) == 20
    assert {line.split()[0] for line in lines} == {f"REWIND_FLAGS={v}" for v in suite.ABLATIONS.values()}
    assert sum(int(line.split("-g ")[1].split()[0]) for line in lines) >= 10_000
    assert all(piece.limit_s <= 5400 for piece in pieces)
    full = suite.full_pieces(seed=5)
    assert set(pieces) <= set(full)
    assert len({piece.name for piece in full}) == len(full)


def test_init_gets_no_quotes():
    assert suite.command_of('memory -t "store, hot*" -a', seed=3) == suite.command(
        "memory", "-t store,?hot* -a", seed=3
    )
    assert suite.command_of("memory -t 'a b'").endswith("-t a?b")


def test_a_processor_with_a_fault_has_the_kernels_remedies():
    assert "mitigations=auto" in suite.machine(cpu_model=suite.L1TF_CPU).cmdline.split()
    assert not suite.machine().cmdline
    assert all(p.options.cmdline for p in suite.full_pieces() if p.name.endswith("-l1tf"))


def test_the_cpu_with_l1tf_meets_what_moves_pages_and_random_programs():
    pieces = {p.name.removesuffix("-l1tf"): p for p in suite.full_pieces(seed=5) if p.name.endswith("-l1tf")}
    assert set(pieces) == {"memory", "layout", "lifecycle", "commotion", "oracle"}
    assert {piece.options.cpu_model for piece in pieces.values()} == {suite.L1TF_CPU}
    lines = pieces["oracle"].commands
    assert {line.split()[1] for line in lines} == {f"REWIND_FLAGS={v}" for v in suite.ABLATIONS.values()}
    assert len(lines) * suite.OPERATIONS_PER_SEED >= selftests.ENOUGH_OPERATIONS


def test_the_short_slice_runs_every_program():
    (piece,) = suite.short_pieces()
    ran = {word for line in piece.commands for word in line.split() if word.startswith("/selftests/")}
    assert ran == {f"/selftests/{name}" for name in selftests.programs()}


@pytest.fixture
def runs(monkeypatch):
    """Names of the pieces that were run; one whose name has "bad" in it fails."""
    names = []

    def boot_nothing(kernel, commands, folder, **options):
        names.append(folder.name)
        return report(oracle_text(store=1, total=int("bad" not in folder.name)))

    monkeypatch.setattr(selftests, "run", boot_nothing)
    return names


def test_a_verdict_with_problems_is_not_used_again(runs, tmp_path):
    piece = suite.Piece("bad", ("/selftests/oracle -s 1",), suite.machine(), 10.0)
    for _ in range(2):
        (verdict,) = suite.run_pieces(Path("bzImage"), [piece], tmp_path)
        assert verdict.problems
    assert runs == ["bad", "bad"]


@pytest.mark.parametrize(
    "change",
    [{"commands": ("/selftests/smoke",)}, {"limit_s": 11.0}, {"options": suite.machine(memory_mb=9)}],
)
def test_a_changed_piece_is_run_again(runs, tmp_path, change):
    piece = suite.Piece("one", ("/selftests/oracle -s 1",), suite.machine(), 10.0)
    suite.run_pieces(Path("bzImage"), [piece], tmp_path)
    suite.run_pieces(Path("bzImage"), [piece], tmp_path)
    suite.run_pieces(Path("bzImage"), [dataclasses.replace(piece, **change)], tmp_path)
    assert runs == ["one", "one"]


def test_a_judged_verdict_is_the_one_that_is_kept(runs, tmp_path):
    piece = suite.Piece("bad", ("/selftests/oracle -s 1",), suite.machine(), 10.0)

    def good(found):
        return dataclasses.replace(found, problems=())

    for _ in range(2):
        assert suite.failed(suite.run_pieces(Path("bzImage"), [piece], tmp_path, judge=good)) == []
    assert runs == ["bad"]


def test_a_finished_piece_is_not_run_again(runs, tmp_path):
    pieces = suite.oracle_pieces(seed=1, operations=100_000)
    first = suite.run_pieces(Path("bzImage"), pieces[:1], tmp_path)
    again = suite.run_pieces(Path("bzImage"), pieces, tmp_path)
    assert len(runs) == len(pieces)
    assert again[0] == first[0]
    assert suite.failed(again) == []


def test_a_verdict_that_is_used_again_still_has_its_counts(tmp_path, monkeypatch):
    text = oracle_text(store=40, seal=3, total=43).replace(
        "# program ends", "# branch copied 7\n# program ends"
    )
    monkeypatch.setattr(selftests, "run", lambda *_, **__: report(text))
    piece = suite.Piece("one", ("/selftests/oracle -s 1",), suite.machine(), 10.0)
    for _ in range(2):
        (verdict,) = suite.run_pieces(Path("bzImage"), [piece], tmp_path)
        assert verdict.operations == {"store": 40, "seal": 3, "total": 43}
        assert verdict.branches == {"copied": 7}


def test_a_kind_that_never_ran_is_a_problem_of_a_long_run():
    assert report(oracle_text(store=40, seal=0, total=40)).problems == ()
    (problem,) = report(oracle_text(store=4000, seal=0, total=4000)).problems
    assert problem == "no random program did 'seal'"


def test_the_short_slice_does_enough_to_miss_a_kind():
    (piece,) = suite.short_pieces()
    oracles = [line.split() for line in piece.commands if "/selftests/oracle" in line]
    per_program = [int(words[words.index("-g") + 1]) * int(words[words.index("-o") + 1]) for words in oracles]
    assert sum(per_program) >= selftests.ENOUGH_OPERATIONS


def test_a_random_program_that_did_nothing_is_a_problem():
    (problem,) = report(oracle_text(store=0, total=0)).problems
    assert problem == "a random program did nothing: /selftests/oracle -s 1"


def test_a_program_that_never_began_is_a_problem():
    text = oracle_text(store=1, total=1)
    twice = ("/selftests/oracle -s 1", "/selftests/smoke", "/selftests/oracle -s 1")
    assert set(report(text, commands=twice).problems) == {
        "never began: /selftests/smoke",
        "never began: /selftests/oracle -s 1",
    }


SKIPPED = """# program begins: /selftests/memory
1..2
ok 1 store, swapped at the checkpoint # SKIP
ok 2 store, merged # SKIP
# program ends: status 0 signal 0 after 1.000 s
# all programs ended"""


def test_a_skip_that_no_situation_explains_is_a_problem():
    (problem,) = report(SKIPPED, situations=("release", "no-swap")).problems
    assert problem == "skipped without a reason: memory: store, merged"
    assert len(report(SKIPPED, situations=("release",)).problems) == 2


def test_expected_skips_are_of_programs_that_exist():
    patterns = [pattern for situation in skips.EXPECTED.values() for pattern in situation]
    assert {pattern.partition(":")[0] for pattern in patterns} <= set(selftests.programs())


def test_nothing_may_be_skipped_on_a_debug_kernel():
    assert plan.debug_slice().situations == plan.faults_piece().situations == ()


def test_a_branch_that_was_never_taken_is_a_problem_of_a_long_run():
    def with_branches(total, **branches):
        lines = "\n".join(f"# branch {name} {count}" for name, count in branches.items())
        return report(oracle_text(total=total).replace("# program ends", f"{lines}\n# program ends"))

    assert with_branches(40, copied=0).problems == ()
    (problem,) = with_branches(4000, copied=0, zeroed=3).problems
    assert problem == "no random program made a rewind do 'copied'"


FAILED = """# program begins: {command}
1..1
not ok 1 {case}
# program ends: status 1 signal 0 after 1.000 s
"""


def failures(*runs):
    """Problems of a boot of (command, its case that fails)."""
    text = "".join(FAILED.format(command=command, case=case) for command, case in runs)
    return report(text + "# all programs ended").problems


@pytest.mark.parametrize("program", selftests.SEEDED)
def test_a_failure_of_a_random_program_names_its_command(program):
    lines = [suite.command(program, "-g 20", flags=flags, seed=5) for flags in (0, 4)]
    assert failures(*((line, "mixtures") for line in lines)) == tuple(
        f"{program}: mixtures ({line})" for line in lines
    )
    assert failures((lines[0], "mixtures")) == (f"{program}: mixtures ({lines[0]})",)


def test_every_program_that_draws_from_the_seed_is_known():
    texts = {name: (selftests.SOURCES / f"{name}.c").read_text() for name in selftests.programs()}
    assert {name for name, text in texts.items() if "run_seed" in text} == set(selftests.SEEDED)


def test_a_program_that_ran_twice_names_its_command_and_one_that_ran_once_does_not():
    faults, smoke = (suite.command(name, flags=4) for name in ("faults", "smoke"))
    found = failures((faults, "a rewind"), (suite.command("faults"), "a rewind"), (smoke, "nothing changed"))
    assert found[0] == f"faults: a rewind ({faults})"
    assert found[1] != found[0]
    assert found[2] == "smoke: nothing changed"


def test_a_report_of_the_kernel_names_its_log():
    boot = Boot("", oracle_text(store=1, total=1), Ending.POWERED_OFF, 1.0, Path("somewhere"))
    found = splat.find_splats(
        "[ 1.0] selftest: oracle: random program, seed 3 flags 0x4\n[ 1.1] BUG: KASAN: in f\n"
    )
    results = tap.parse(boot.results.splitlines())
    commands = tuple(program.command for program in results.programs)
    (problem,) = selftests.Report(results, found, boot, commands).problems
    during = "during oracle: random program, seed 3 flags 0x4"
    assert problem == f"kernel KASAN: BUG: KASAN: in f ({during}) (log: somewhere/console.log)"


def test_a_panic_and_a_hang_are_named():
    cut = "# program begins: /selftests/memory\n1..2\nok 1 a\n# case b"
    problems = report(cut, Ending.DIED).problems
    assert problems[0] == "memory: b"
    assert problems[1].startswith("machine panicked")
    assert report(cut, Ending.TIMED_OUT).problems[1].startswith("machine ran out of time")


def test_the_makefile_names_every_program():
    lines = (selftests.SOURCES / "Makefile").read_text().splitlines()
    lists = [line.partition("=")[2] for line in lines if line.startswith("TEST_GEN_PROGS")]
    assert set(" ".join(lists).split()) == set(selftests.programs())
