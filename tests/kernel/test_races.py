"""Data races: a report counts when any line of it is of the series."""

import pytest

from bench.kernel import races
from bench.kernel.splat import find_splats

RACE = """\
[    5.100000] ==================================================================
[    5.100001] BUG: KCSAN: data-race in {first} / {second}
[    5.100002]
[    5.100003] write to 0xffff888004a4d0c0 of 8 bytes by task 93 on cpu 1:
[    5.100004]  {first}+0x12/0x340
[    5.100005]  {caller}+0x1b/0x20
[    5.100006]  do_syscall_64+0x3b/0x90
[    5.100007] ==================================================================
[    5.100008] audit: rewind is mentioned after the report
"""


def judged(first, second="fill_table", caller="vfs_read"):
    log = RACE.format(first=first, second=second, caller=caller)
    return find_splats(log, ignore=races.of_others)


def test_a_race_of_others_does_not_count():
    assert judged("jiffies_update", "tick_nohz") == ()


@pytest.mark.parametrize(
    ("first", "caller"),
    [
        ("has_unread", "vfs_read"),
        ("guest_work.constprop.0", "vfs_read"),
        ("folio_add_lru", "guest_work"),
        ("folio_add_lru", "__x64_sys_rewind"),
    ],
)
def test_any_function_of_the_series_does(first, caller):
    (found,) = judged(first, "tick_nohz", caller)
    assert found.kind == "KCSAN"


def test_a_known_race_does_not_count_wherever_it_was_called_from():
    assert judged("hrtimer_wakeup", "schedule_hrtimeout_range_clock", "guest_work") == ()
    assert judged("hrtimer_wakeup", "guest_work", "guest_work")
    assert judged("hrtimer_wakeup.constprop.0", "schedule_hrtimeout_range_clock", "guest_work") == ()


def test_what_is_no_race_is_always_kept():
    assert (
        len(find_splats("[ 1.0] WARNING: CPU: 0 PID: 1 at mm/mmap.c:1 f+0x0/0x1", ignore=races.of_others))
        == 1
    )


def test_names_are_those_that_the_series_defines(tmp_path):
    (tmp_path / "0001-a.patch").write_text(
        "+++ b/mm/rewind/a.c\n+static struct page *own(int a)\n+\tcalled(a);\n+ #define X(y)\n"
        " static int context(void)\n+++ b/mm/memory.c\n+static int hook(void)\n"
    )
    assert races.functions(tmp_path) == {"own"}
