"""Plans: what a kernel without the facility must say, and which verdicts are used again."""

import inspect
from pathlib import Path

import pytest

from bench.build.kernel import fragments
from bench.build.step import Product
from bench.errors import ConfigError
from bench.kernel import commands, plan, selftests, shrink, suite, tap
from bench.kernel.boot import Boot, Ending
from bench.paths import KERNEL
from bench.progress import Progress

ABSENT = """# program begins: /selftests/smoke
{line}
# program ends: status {status} signal 0 after 0.100 s
# all programs ended"""


PASSED = """\
# program begins: /selftests/smoke
1..1
ok 1 all is well
# program ends: status 0 signal 0 after 1.000 s
# all programs ended
"""


def absent(line, status=1):
    text = ABSENT.format(line=line, status=status)
    results = tap.parse(text.splitlines())
    boot = Boot("", text, Ending.POWERED_OFF, 1.0, Path("somewhere"))
    report = selftests.Report(results, (), boot, ("/selftests/smoke",))
    return plan.expect_absent(suite.verdict_of("absent", report))


def test_a_kernel_without_the_facility_says_so():
    assert absent("Bail out! this kernel has no REWIND").problems == ()


def test_a_program_that_cannot_run_proves_nothing():
    problems = absent("# cannot run /selftests/smoke: No such file or directory", 127).problems
    assert problems[-1] == "a kernel without the facility did not say that it has none"
    assert len(absent("Bail out! process 77 cannot be killed").problems) == 2


def test_a_replay_that_fails_ends_in_the_smallest_command(tmp_path, monkeypatch):
    bad = suite.Verdict("replay", ("oracle: random program",), 0, (), 1.0)
    small = shrink.Program(seed=1, generations=1, per_generation=1)
    (tmp_path / "vmlinuz").write_bytes(b"")
    monkeypatch.setattr(plan, "ensure", lambda _: Product("kernel", "0", tmp_path))
    monkeypatch.setattr(plan.replaying, "replay", lambda *_: plan.replaying.Replay(bad, small))
    with pytest.raises(plan.SelftestError) as caught:
        plan.replay("oracle -s 1 -g 20 -o 60", Progress())
    assert small.arguments in caught.value.hint
    monkeypatch.setattr(plan.replaying, "replay", lambda *_: plan.replaying.Replay(bad, None))
    assert plan.replay("oracle -s 1 -g 20 -o 60", Progress()).endswith("passed")
    assert plan.replay("states -s 3", Progress()).startswith("states -s 3 -g 24")
    whole = plan.replaying.Replay(bad, plan.replaying.States(seed=3))
    monkeypatch.setattr(plan.replaying, "replay", lambda *_: whole)
    with pytest.raises(plan.SelftestError, match="states -s 3 -g 24 -o 4 -f 0x0 fails") as caught:
        plan.replay("states -s 3", Progress())
    assert "smallest" not in caught.value.hint


def test_only_some_cases_are_run():
    piece = plan.only_piece("memory -t 'store, hot*' -a")
    assert piece.commands == (suite.command("memory", "-t store,?hot* -a"),)
    assert piece.options == suite.machine()
    assert piece.limit_s <= 5400


def test_a_line_of_a_log_can_be_given_as_it_is():
    line = "REWIND_FLAGS=4 REWIND_SEED=9 /selftests/faults -t a?rewind"
    (command,) = plan.only_piece(line).commands
    assert command.endswith(line)
    assert plan.only_piece("REWIND_FLAGS=4 memory").commands[0].count("/selftests/memory") == 1


@pytest.mark.parametrize("text", ["", "nothing -a", "/bin/sh", "REWIND_FLAGS=4", "-t memory"])
def test_only_what_is_a_self_test_is_run(text):
    with pytest.raises(ConfigError, match="names no self-test"):
        plan.only_piece(text)


def test_one_program_is_run_and_judged(tmp_path, monkeypatch):
    (tmp_path / "vmlinuz").write_bytes(b"")
    monkeypatch.setattr(plan, "ensure", lambda _: Product("kernel", "0", tmp_path))
    monkeypatch.setattr(suite, "cache_dir", lambda: tmp_path)
    ran = []

    def run_piece(kernel, piece, folder):
        ran.append((piece.commands, folder))
        return suite.Verdict(piece.name, ("smoke: nothing changed",), 0, (), 1.0)

    monkeypatch.setattr(plan.suite, "run_piece", run_piece)
    verdict = plan.only("smoke", Progress())
    assert ran == [((suite.command("smoke"),), plan.only_folder())]
    with pytest.raises(plan.SelftestError, match="only: smoke: nothing changed"):
        plan.check([verdict])


def test_what_the_hint_of_a_failure_says_can_be_done():
    with pytest.raises(plan.SelftestError) as caught:
        plan.check([suite.Verdict("short", ("smoke: nothing changed",), 0, (), 1.0)])
    options = {word.strip("',;") for word in caught.value.hint.split() if word.startswith("--")}
    assert options == {"--only", "--replay"}
    assert options <= {f"--{name}" for name in inspect.signature(commands.kernel_test).parameters}


def test_the_debug_kernel_compares_pages_with_their_hashes():
    verifying = [line for line in plan.debug_slice().commands if f"REWIND_FLAGS={plan.VERIFY} " in line]
    assert {"smoke", "oracle"} <= {program_of(line) for line in verifying}
    names = {path.name for path in fragments("debug", KERNEL / "patches")}
    assert "rewind-debug.config" in names


def test_the_long_programs_that_change_pages_are_compared_too():
    (full,) = [p for p in plan.plans(full=True) if p.name == "debug-full"]
    for name in ("memory", "regions", "lifecycle"):
        (piece,) = [piece for piece in full.pieces if piece.name == f"debug-verify-{name}"]
        (line,) = piece.commands
        assert program_of(line) == name
        assert f"REWIND_FLAGS={plan.VERIFY} " in line
        assert piece.limit_s <= 5400


def test_no_two_pieces_of_a_kernel_share_a_folder():
    for one in plan.plans(full=True):
        assert len({piece.name for piece in one.pieces}) == len(one.pieces)


def test_a_kernel_that_was_to_check_itself_has_to_say_that_it_does():
    said = plan.KCSAN_ANNOUNCED[0]
    assert "CONFIG_KCSAN_EARLY_ENABLE=y" in plan.KCSAN.splitlines()
    results = tap.parse(PASSED.splitlines())
    for log, problems in ((f"[    0.9] {said}\n", 0), ("[    0.9] kcsan: strict mode configured\n", 1)):
        boot = Boot(log, PASSED, Ending.POWERED_OFF, 1.0, Path("somewhere"))
        found = selftests.Report(results, (), boot, ("/selftests/smoke",), announced=(said,)).problems
        assert [said in line for line in found] == [True] * problems


def test_every_piece_of_a_debug_kernel_waits_for_the_checks():
    pieces = [piece for p in plan.plans(full=True) if p.name.startswith("debug") for piece in p.pieces]
    assert all(piece.announced == plan.DEBUG_ANNOUNCED for piece in [*pieces, plan.debug_slice()])
    assert plan.kcsan_piece().announced == plan.KCSAN_ANNOUNCED


def program_of(line):
    return line.partition("/selftests/")[2].split()[0]
