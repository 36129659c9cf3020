"""Kernel logs: each kind of report is found once, by its own name."""

import pytest

from bench.kernel.splat import find_splats

WARNING = """\
[    5.100000] ------------[ cut here ]------------
[    5.100001] WARNING: CPU: 0 PID: 77 at mm/rewind.c:901 rewind_replay+0x1/0x2
[    5.100002] Call Trace:
[    5.100003]  BUG: not one of its own
[    5.100004] ---[ end trace 0000000000000000 ]---
[    6.000000] all quiet
"""


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("panic", "Kernel panic - not syncing: Fatal exception"),
        ("KASAN", "BUG: KASAN: slab-use-after-free in rewind_free+0x10/0x20"),
        ("KCSAN", "BUG: KCSAN: data-race in a / b"),
        ("UBSAN", "UBSAN: array-index-out-of-bounds in mm/rewind.c:5:6"),
        ("lockdep", "WARNING: possible circular locking dependency detected"),
        ("suspicious RCU", "WARNING: suspicious RCU usage"),
        ("atomic sleep", "BUG: sleeping function called from invalid context at mm/rewind.c:9"),
        ("RCU stall", "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"),
        ("hung task", "INFO: task memory:93 blocked for more than 120 seconds."),
        ("lockup", "watchdog: BUG: soft lockup - CPU#0 stuck for 26s!"),
        ("bad page", "BUG: Bad page state in process memory  pfn:01234"),
        ("bad page", "BUG: Bad rss-counter state mm:00000000 type:MM_ANONPAGES val:3"),
        ("kmemleak", "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)"),
        ("kmemleak", "kmemleak: Kernel memory leak detector disabled"),
        ("kmemleak", "kmemleak: Cannot allocate a kmemleak_object structure"),
        ("lockdep", "turning off the locking correctness validator."),
        ("double fault", "PANIC: double fault, error_code: 0x0"),
        ("oops", "int3: 0000 [#1] PREEMPT SMP"),
        ("oops", "stack segment: 0000 [#1] PREEMPT SMP"),
        ("verification", "rewind: oracle[93] page 700000001000 differs"),
        ("refcount", "refcount_t: underflow; use-after-free."),
        ("BUG", "kernel BUG at mm/rewind.c:77!"),
        ("oops", "Oops: 0002 [#1] PREEMPT SMP"),
        ("warning", "WARNING: CPU: 1 PID: 93 at mm/rewind.c:12 f+0x0/0x1"),
    ],
)
def test_each_kind_is_named(kind, line):
    (found,) = find_splats(f"[    1.000000] quiet\n[    1.234567] {line}\n[    1.300000] quiet\n")
    assert found.kind == kind
    assert found.headline == line


def test_a_report_counts_once():
    (found,) = find_splats(WARNING)
    assert found.kind == "warning"
    assert "cut here" in found.excerpt
    assert "all quiet" not in found.excerpt


def test_a_clean_log_has_none():
    assert find_splats("[    0.000000] Linux version 6.12\n[    1.0] reboot: Power down\n") == ()


def test_a_report_that_is_ignored_is_left_out():
    assert find_splats(WARNING, ignore=lambda found: "mm/rewind.c:901" in found.headline) == ()
    assert len(find_splats(WARNING, ignore=lambda found: "something else" in found.excerpt)) == 1


def test_a_report_names_the_case_it_came_in():
    log = "[    4.0] selftest: layout: grow\n[    5.0] selftest: layout: move away\n" + WARNING
    (found,) = find_splats(log)
    assert found.case == "layout: move away"


def test_a_report_names_the_seed_and_flags_of_its_program():
    log = "[    4.0] selftest: oracle: random program, seed 3 flags 0x4\n" + WARNING
    (found,) = find_splats(log)
    assert found.case == "oracle: random program"
    assert str(found).endswith("(during oracle: random program, seed 3 flags 0x4)")


def test_the_same_report_under_other_seeds_is_one_with_the_first_of_them():
    marks = [f"[ 4.0] selftest: oracle: random program, seed {seed} flags 0\n" for seed in (3, 4)]
    (found,) = find_splats(marks[0] + WARNING + marks[1] + WARNING)
    assert str(found).endswith("seed 3 flags 0), 2 times")


def test_the_same_report_from_another_process_is_one():
    other = WARNING.replace("CPU: 0 PID: 77", "CPU: 1 PID: 93")
    (found,) = find_splats(WARNING + other)
    assert found.times == 2
    assert str(found).endswith(", 2 times")
    assert len(find_splats("[ 1.0] selftest: a: b\n" + WARNING + "[ 1.0] selftest: a: c\n" + other)) == 2
