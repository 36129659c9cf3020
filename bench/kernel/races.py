"""Data races: which reports of KCSAN are about the series.

Linux has races of its own, most of them known and harmless.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

from bench.kernel.splat import Splat
from bench.paths import KERNEL

#: Files of the series' own: all of their functions are new.
OWN_FILE = re.compile(r"\+\+\+ b/(?:mm/rewind/\w+|arch/x86/kernel/rewind)\.c\b")
#: Races inside of what the series calls, or between that and an interrupt of it: whose two accesses they are,
#: and why they do no harm.
KNOWN = {
    ("hrtimer_wakeup", "schedule_hrtimeout_range_clock"): "who has slept looks whether the timer woke it",
    ("__hrtimer_run_queues", "hrtimer_active"): "a look without the lock, under a sequence count",
    ("__folio_batch_add_and_move", "__lru_add_drain_all"): "pages that come later may stay in their batch",
    ("__folio_end_writeback", "__try_to_reclaim_swap"): "different bits of the flags of a page",
}
HEADLINE = re.compile(r"data-race in (?P<one>\w+)[\w.]* / (?P<other>\w+)")
#: A definition begins in the first column; what is called stands further right.
DEFINITION = re.compile(r"\+(?:[a-z_][\w\s*]*?[\s*])?(?P<name>[a-z_]\w*)\(")
#: An entry of a stack, as in "begin.constprop.0+0x12/0x340".
IN_STACK = re.compile(r"\b(?P<name>\w+)(?:\.\w+)*\+0x[0-9a-f]+/0x[0-9a-f]+")


def of_others(found: Splat) -> bool:
    """True for a race that is known, or that no function of the series takes part in, in any line."""
    if found.kind != "KCSAN":
        return False
    headline = HEADLINE.search(found.headline)
    if headline and (headline["one"], headline["other"]) in KNOWN:
        return True
    names = {match["name"] for match in IN_STACK.finditer(found.excerpt)}
    return "rewind" not in found.excerpt and not names & functions()


@functools.cache
def functions(series: Path = KERNEL / "patches") -> frozenset[str]:
    """Names of the functions that the series' own files define, as its patches have them."""
    return frozenset(name for patch in series.glob("*.patch") for name in _defined(patch.read_text()))


def _defined(patch: str) -> Iterator[str]:
    own = False
    for line in patch.splitlines():
        if line.startswith("+++ "):
            own = OWN_FILE.match(line) is not None
        elif own and (match := DEFINITION.match(line)):
            yield match["name"]
