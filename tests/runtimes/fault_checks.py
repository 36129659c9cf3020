"""What must hold of requests while parts of containers die: the action that reveals reuse, and the checks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.platforms.activations import Activation
from bench.platforms.embedded import texts

SUM = sum(range(1 << 17))
CODE = """
import os
import numpy as np
table = np.arange(1 << 17)
kept, count = [], 0
def main(args):
    global count
    n = args["n"]
    print("begun", n, flush=True)
    count += 1
    kept.append(n)
    found = {"n": n, "sum": int(table.sum()) + n, "kept": kept, "count": count}
    if args["files"]:
        found["files"] = [x for at in ("/tmp", "/dev/shm") for x in os.listdir(at) if x.startswith("left-")]
    table[:] = -1
    for at in ("/tmp", "/dev/shm"):
        open(f"{at}/left-{n}", "w").write("x" * 10000)
    return found
"""
#: What a client may be told when a part died (runtimes/README.md).
TOLD = re.compile(
    "command exited( before the request.*)?"
    f"|{re.escape(texts.ABNORMAL_RUN)}|{re.escape(texts.ABNORMAL_INIT)}"
    r"|cannot start action: (Command exited abruptly during initialization\.|The action did not).*"
)
DEVELOPER = "action developer error"


@dataclass(frozen=True)
class Checks:
    """`killed` are containers that lost a part; `files`: the scheme puts files back."""

    killed: Sequence[str]
    files: bool

    def all(self, answers: list[Activation], records: list[Activation], counted: dict[str, int]) -> None:
        """Every answer is right, or a failure that a kill explains; and all is counted."""
        assert {a.id for a in answers} == {r.id for r in records}
        assert len(answers) == len(records)
        failed = [a for a in answers if not a.success]
        for answer in answers:
            self._answer(answer)
        assert len({a.container_id for a in failed}) == len(failed)  # no container fails two
        assert counted.get(DEVELOPER, 0) == len(failed)
        assert counted["success"] == len(answers) - len(failed)
        assert counted.get("resent", 0) == sum(r.resent for r in records)
        assert {r.resent for r in records} <= {0, 1}
        removed = {k: n for k, n in counted.items() if k.startswith("removed: ") and n}
        assert sum(removed.values()) == len(self.killed), removed
        for record in records:
            self._record(record)

    def _answer(self, answer: Activation) -> None:
        if answer.success:
            n = answer.result["n"]
            right = {"n": n, "sum": SUM + n, "kept": [n], "count": 1}
            assert answer.result == (right | {"files": []} if self.files else right)
            return
        assert answer.status == DEVELOPER, answer
        assert TOLD.fullmatch(answer.result["error"]), answer
        assert answer.container_id in self.killed, answer

    def _record(self, record: Activation) -> None:
        """A request begins once, wherever it was sent; a container that failed afterwards was killed."""
        begun = [line.split(" ", 2)[2] for line in record.logs if " begun " in line]
        assert len(begun) <= 1, record
        if record.success:
            assert begun == [f"begun {record.result['n']}"], record
            assert (record.busy_after_ns is not None) != bool(record.retired), record  # restored, or given up
        assert not record.retired or record.container_id in self.killed, record


def summary(records: list[Activation]) -> str:
    """For a reader of the test's output."""
    failed = sum(not record.success for record in records)
    again = sum(record.resent for record in records)
    retired = sum(bool(record.retired) for record in records)
    return f"{len(records)} requests: {failed} failed, {again} sent again; {retired} restores failed"
