"""Write seccomp.json, the filter that every scheme's containers run under.

Docker's own filter names what is allowed, so that a call it has never heard of fails with ENOSYS
whether the kernel has it or not. This one allows by default and denies what Docker's denies to a
container without extra capabilities, with the same errno (EPERM; ENOSYS for clone3, so that the C
library falls back to clone, whose flags can be looked at). The list follows Docker 20.10 with what
later versions took away (io_uring, vsock sockets).

Approximations, as a filter that denies cannot say "any value but these":
- personality: denied with any flag beyond those of 0, 8, 0x20000 and 0x20008, unless bit 31 is set
  (0xffffffff asks and must pass; other values with bit 31 have no meaning).
- userfaultfd: allowed for faults of user mode only, which any process may ask for since Linux 5.11, and
  which the snapshot scheme tracks written pages by; Docker denies it whole.
- Calls newer than this list are allowed, where Docker answers ENOSYS.

Run `python3 runtimes/common/seccomp.py` after a change; a test compares.
"""

from __future__ import annotations

import json
from pathlib import Path

PROFILE = Path(__file__).parent / "seccomp.json"
EPERM = 1
ENOSYS = 38
AF_VSOCK = 40
UFFD_USER_MODE_ONLY = 1

DENIED = """
    _sysctl acct add_key afs_syscall bpf clock_settime clock_settime64 create_module delete_module
    epoll_ctl_old epoll_wait_old fanotify_init finit_module fsconfig fsmount fsopen fspick
    get_kernel_syms get_mempolicy getpmsg init_module io_uring_enter io_uring_register io_uring_setup
    ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind migrate_pages mount
    mount_setattr move_mount move_pages name_to_handle_at nfsservctl open_by_handle_at open_tree
    perf_event_open pidfd_getfd pivot_root process_madvise putpmsg query_module quotactl quotactl_fd
    reboot request_key security set_mempolicy set_mempolicy_home_node setdomainname sethostname setns
    settimeofday stime swapoff swapon sysfs syslog tuxcall umount umount2 unshare uselib ustat
    vhangup vm86 vm86old vserver
""".split()  # noqa: SIM905  a table of names

#: New mount, cgroup, uts, ipc, user, pid and net namespaces.
NAMESPACE_FLAGS = (1 << 17, 1 << 25, 1 << 26, 1 << 27, 1 << 28, 1 << 29, 1 << 30)
PERSONALITY_ALLOWED = 0x20008
PERSONALITY_QUERY_BIT = 1 << 31


def _deny(names: list[str], errno: int = EPERM, *args: dict[str, int | str]) -> dict[str, object]:
    return {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": errno, "args": list(args)}


def _masked(mask: int, value: int) -> dict[str, int | str]:
    return {"index": 0, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}


def profile() -> dict[str, object]:
    """The filter in Docker's format."""
    clone = [_deny(["clone"], EPERM, _masked(flag, flag)) for flag in NAMESPACE_FLAGS]
    bits = [1 << n for n in range(31) if not (1 << n) & PERSONALITY_ALLOWED]
    personality = [_deny(["personality"], EPERM, _masked(bit | PERSONALITY_QUERY_BIT, bit)) for bit in bits]
    vsock = _deny(["socket"], EPERM, {"index": 0, "value": AF_VSOCK, "op": "SCMP_CMP_EQ"})
    userfault = _deny(["userfaultfd"], EPERM, _masked(UFFD_USER_MODE_ONLY, 0))
    architectures = {
        "architecture": "SCMP_ARCH_X86_64",
        "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    }
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "archMap": [architectures],
        "syscalls": [_deny(DENIED), _deny(["clone3"], ENOSYS), *clone, *personality, vsock, userfault],
    }


def text() -> str:
    """The file's content."""
    return json.dumps(profile(), indent=1) + "\n"


if __name__ == "__main__":
    PROFILE.write_text(text())
