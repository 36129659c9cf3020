"""The guest's serial console: a growing log that is watched for a kernel in trouble."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bench.errors import KernelPanicError

#: What a kernel writes when it is no longer to be trusted.
TROUBLE = re.compile(
    rb"Kernel panic - not syncing"
    rb"|Oops: |BUG: |kernel BUG at |general protection fault"
    rb"|rcu: INFO: rcu_\w+ (?:self-)?detected stalls?"
    rb"|KASAN: |UBSAN: |KCSAN: "
    rb"|WARNING: possible (?:circular|recursive|irq)|WARNING: bad unlock balance"
)
TAIL_LINES = 15


@dataclass(frozen=True)
class Console:
    """A serial log on this machine."""

    path: Path

    def text(self) -> str:
        """All of it so far."""
        if not self.path.exists():
            return ""
        return self.path.read_bytes().decode(errors="replace").replace("\r\n", "\n")

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines."""
        return "\n".join(self.text().splitlines()[-lines:])

    def trouble(self) -> str:
        """The lines from the first sign of trouble on, or "" when the kernel seems well."""
        data = self.path.read_bytes() if self.path.exists() else b""
        found = TROUBLE.search(data)
        if found is None:
            return ""
        start = data.rfind(b"\n", 0, found.start()) + 1
        lines = data[start:].decode(errors="replace").replace("\r", "").splitlines()
        return "\n".join(lines[:TAIL_LINES])

    def check(self) -> None:
        """Raise KernelPanicError when there is trouble."""
        trouble = self.trouble()
        if trouble:
            raise KernelPanicError(
                f"the guest's kernel panicked or reported a fault:\n{trouble}",
                hint=f"the whole console is in {self.path}",
            )
