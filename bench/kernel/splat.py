"""Find what no kernel log of a test may contain: panics, warnings, sanitizer and lockdep reports."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

EXCERPT_LINES = 40
#: What the self-tests write to the kernel's log before each case.
CASE = re.compile(r"selftest: (?P<case>.+?)(?:, (?P<run>seed \d+ flags \w+))?$")

#: Kind of trouble, and the line that begins it. The first match of a line counts.
MARKS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("panic", r"Kernel panic - not syncing"),
        ("KASAN", r"BUG: KASAN:"),
        ("KCSAN", r"BUG: KCSAN:"),
        ("KFENCE", r"BUG: KFENCE:"),
        ("UBSAN", r"UBSAN:"),
        (
            "lockdep",
            r"WARNING: possible (?:circular|recursive|irq) |WARNING: (?:bad unlock|inconsistent lock)",
        ),
        (
            "lockdep",
            r"INFO: possible .*deadlock|BUG: MAX_LOCKDEP|possible irq lock inversion|held lock freed",
        ),
        ("lockdep", r"turning off the locking correctness validator"),
        ("suspicious RCU", r"WARNING: suspicious RCU usage"),
        ("atomic sleep", r"BUG: sleeping function called|BUG: scheduling while atomic"),
        ("RCU stall", r"rcu: INFO: .*detected (?:expedited )?stalls|rcu.*self-detected stall"),
        ("hung task", r"INFO: task .* blocked for more than"),
        ("lockup", r"watchdog: BUG: (?:soft|hard) lockup|NMI watchdog: "),
        ("bad page", r"BUG: Bad (?:page|rss-counter|page map)|page dumped because"),
        ("page table check", r"kernel BUG at mm/page_table_check"),
        ("slab", r"BUG [\w-]+ \(.*\): |Slab corruption|Object .* not freed"),
        ("kmemleak", r"kmemleak: (?:\d+ new suspected memory leaks|Cannot allocate|.* detector disabled)"),
        ("verification", r"rewind: .*\[\d+\] page [0-9a-f]+ differs"),
        ("refcount", r"refcount_t: "),
        ("list corruption", r"list_(?:add|del) corruption"),
        ("BUG", r"kernel BUG at |BUG: "),
        ("double fault", r"PANIC: double fault"),
        ("oops", r"Oops: |general protection fault|unable to handle (?:kernel|page fault)"),
        ("oops", r"(?:int3|stack segment|invalid opcode|divide error|alignment check): [0-9a-f]{4} \[#\d+\]"),
        ("warning", r"WARNING: CPU: \d+ PID: |WARNING: "),
        ("machine check", r"mce: \[Hardware Error\]"),
    )
)


@dataclass(frozen=True)
class Splat:
    """One report in a kernel log: its kind, first line, and the lines after it."""

    kind: str
    headline: str
    excerpt: str
    #: The test case during which it came ("program: case"), as far as the log says.
    case: str = ""
    #: Seed and flags of the program then, as the case has them: "seed 3 flags 0x4".
    run: str = ""
    #: How often the same report came during that case; the first time is the one above.
    times: int = 1

    def __str__(self) -> str:
        where = f" (during {', '.join(filter(None, (self.case, self.run)))})" if self.case else ""
        return f"{self.kind}: {self.headline}{where}" + (f", {self.times} times" if self.times > 1 else "")


def find_splats(log: str, *, ignore: Callable[[Splat], bool] | None = None) -> tuple[Splat, ...]:
    """All reports in a kernel log, in order, without those that `ignore` picks out.

    The lines of one report (up to its end trace) are not reported again as further splats.
    """
    lines = log.splitlines()
    found: list[Splat] = []
    resume_at = 0
    case = run = ""
    for number, line in enumerate(lines):
        if match := CASE.search(line):
            case, run = match["case"], match["run"] or ""
        if number < resume_at:
            continue
        kind = kind_of(line)
        if kind is None:
            continue
        end = _end_of_report(lines, number)
        resume_at = end or number + 1
        excerpt = "\n".join(lines[max(0, number - 1) : end or number + EXCERPT_LINES])
        one = Splat(kind, _without_time(line), excerpt, case, run)
        if ignore is None or not ignore(one):
            found.append(one)
    return tuple(_grouped(found))


def _grouped(splats: Sequence[Splat]) -> list[Splat]:
    """Reports that differ in nothing but processor, process and time are one."""
    groups: dict[tuple[str, str, str], Splat] = {}
    for one in splats:
        key = (one.kind, re.sub(r"CPU: \d+ PID: \d+|CPU#\d+|:\d+\]?", "", one.headline), one.case)
        first = groups.get(key)
        groups[key] = one if first is None else replace(first, times=first.times + 1)
    return list(groups.values())


def kind_of(line: str) -> str | None:
    """The kind of trouble that a log line announces, or None."""
    for kind, pattern in MARKS:
        if pattern.search(line):
            return kind
    return None


def _without_time(line: str) -> str:
    return re.sub(r"^\[\s*\d+\.\d+\]\s*(?:\[[^\]]*\]\s*)?", "", line).strip()


def _end_of_report(lines: Sequence[str], start: int) -> int | None:
    for number in range(start + 1, min(len(lines), start + 2 * EXCERPT_LINES)):
        if "---[ end " in lines[number] or re.search(r"\]\s*={20,}\s*$", lines[number]):
            return number + 1
    return None
