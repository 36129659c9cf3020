"""The console watcher knows trouble when it sees it, and nothing else."""

import pytest

from bench.errors import KernelPanicError
from bench.hosts.console import Console

GOOD = (
    b"[    0.1] Booting\r\n[    1.0] BUG_ON is a macro\r\n[    2.0] rcu: Hierarchical RCU implementation.\r\n"
)


@pytest.mark.parametrize(
    "line",
    [
        b"[    3.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
        b"[    3.0] BUG: unable to handle page fault for address: ffff8880",
        b"[    3.0] Oops: Oops: 0002 [#1] PREEMPT SMP",
        b"[    3.0] rcu: INFO: rcu_preempt self-detected stall on CPU",
        b"[    3.0] rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
        b"[    3.0] BUG: KASAN: use-after-free in rewind_log",
        b"[    3.0] WARNING: possible circular locking dependency detected",
        b"[    3.0] kernel BUG at mm/rmap.c:1200!",
    ],
)
def test_trouble_is_raised_with_its_lines(tmp_path, line):
    log = tmp_path / "console.log"
    log.write_bytes(GOOD + line + b"\r\nafterwards\r\n")
    with pytest.raises(KernelPanicError, match="afterwards") as caught:
        Console(log).check()
    assert "Booting" not in str(caught.value)
    assert str(log) in caught.value.hint


def test_a_healthy_or_absent_console_is_quiet(tmp_path):
    Console(tmp_path / "absent").check()
    (tmp_path / "log").write_bytes(GOOD)
    Console(tmp_path / "log").check()
