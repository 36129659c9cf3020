"""Which cases may be skipped, on which kernel and machine; every other skip is a problem."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping

#: Situation -> patterns of "program: case", and why they have nothing to do there.
EXPECTED: Mapping[str, Mapping[str, str]] = {
    "always": {"attributes: speculation": "an emulated processor does not speculate"},
    "release": {
        "faults: *": "fault injection is in the debug kernel",
        "trace: *": "tracefs is in the debug kernel",
    },
    "no-swap": {
        "memory: *swapped*": "CONFIG_SWAP=n",
        "lifecycle: swapoff *": "CONFIG_SWAP=n",
    },
}


def reason(case: str) -> str:
    """Why a case ("program: case") may be skipped; "" when no situation explains it."""
    patterns = (entry for situation in EXPECTED.values() for entry in situation.items())
    return next((why for pattern, why in patterns if fnmatch.fnmatchcase(case, pattern)), "")


def unexpected(skipped: Iterable[str], situations: Iterable[str]) -> list[str]:
    """Those of `skipped` ("program: case") that neither a situation nor every machine explains."""
    patterns = [pattern for situation in ("always", *situations) for pattern in EXPECTED[situation]]
    return [case for case in skipped if not any(fnmatch.fnmatchcase(case, p) for p in patterns)]
