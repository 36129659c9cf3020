"""What one answer of the oracle's action says, and what a whole cell says of its scheme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.check import Expected, mismatch
from bench.plugins import Scheme

#: What a request alters -> the audit's family that it belongs to ("" means: always in the scheme's duty).
ASPECTS = {
    "result": "",
    "globals": "memory",
    "inputs": "memory",
    "random": "memory",
    "environment": "memory",
    "folder": "process",
    "descriptor": "descriptors",
    "new file": "files",
    "changed file": "files",
}


@dataclass(frozen=True)
class Answer:
    """One request: what it found altered, and why its answer is not the right one ("" when it is)."""

    container_id: str
    residues: tuple[str, ...]
    wrong: str

    @classmethod
    def of(cls, body: Any, nonce: str, due: Expected, container_id: str) -> Answer:
        """Judge the body of a reply to the request with this nonce."""
        if not isinstance(body, dict) or "nonce" not in body:
            return cls(container_id, (), f"not an answer of the oracle: {str(body)[:200]}")
        wrong = f"raised {body['raised']}" if "raised" in body else mismatch(body.get("result"), due)
        if body["nonce"] != nonce:
            wrong = f"the answer to another request: nonce {body['nonce']}, not {nonce}"
        return cls(container_id, tuple(body["residues"]), wrong)

    @property
    def altered(self) -> tuple[str, ...]:
        """The aspects that another request had altered, a wrong result included."""
        return (("result",) if self.wrong else ()) + self.residues


def judge(answers: Sequence[Answer], scheme: Scheme) -> list[str]:
    """Why the cell is not as it must be; nothing when it is.

    An isolating scheme must show no alteration but of what it says that it leaves. One that does not
    isolate is the negative control: every aspect must be seen altered, else the oracle is blind.
    """
    seen = {aspect for answer in answers for aspect in answer.altered}
    if not scheme.spec.isolates:
        blind = [aspect for aspect in ASPECTS if aspect not in seen]
        said = f"the oracle did not notice what {scheme.name} leaves: {', '.join(blind)}"
        return [said] if blind else []
    left = {aspect for aspect, family in ASPECTS.items() if family and family in scheme.spec.leaves}
    problems = []
    for aspect in ASPECTS:
        if aspect not in seen or aspect in left:
            continue
        bad = [answer for answer in answers if aspect in answer.altered]
        detail = f", the first: {bad[0].wrong}" if aspect == "result" else ""
        problems.append(f"{aspect} altered in {len(bad)} of {len(answers)} requests{detail}")
    return problems
