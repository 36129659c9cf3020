"""A comparison as JSON (for programs), Markdown (for people) and JUnit (for CI)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from bench.kernel import junit
from bench.kernel.fit import number
from bench.kernel.regress import Change, Comparison

NAMES = ("regress.json", "regress.md", "regress.xml")


def write(comparison: Comparison, folder: Path) -> tuple[Path, ...]:
    """Write all three files; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = (as_json(comparison), as_markdown(comparison), as_junit(comparison))
    paths = tuple(folder / name for name in NAMES)
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


def as_json(comparison: Comparison) -> str:
    """Everything, with the verdict."""
    whole = {
        **asdict(comparison),
        "not_measured": comparison.not_measured,
        "regressions": comparison.regressions,
    }
    return json.dumps(whole, indent=1) + "\n"


def as_markdown(comparison: Comparison) -> str:
    """A table with the verdict above it."""
    found = comparison.regressions
    verdict = f"**{len(found)} regressions**" if found else "**No regression**"
    lines = [
        "# Kernel comparison",
        "",
        f"{verdict}: `{comparison.new}` against `{comparison.old}`.",
        f"{comparison.passed} self-tests passed. Clock: guest instructions (1 ns each).",
        "",
        "| figure | old | new | change | |",
        "|---|---:|---:|---:|---|",
        *(_row(change) for change in comparison.changes if change.figure not in comparison.not_measured),
    ]
    for title, entries in (
        ("Not measured on either kernel", comparison.not_measured),
        ("Refused by the new kernel", comparison.refused),
        ("Refused by the old kernel", comparison.refused_before),
        ("Self-tests that failed", comparison.problems),
    ):
        if entries:
            lines += ["", f"{title}:", "", *(f"- {entry}" for entry in entries)]
    return "\n".join(lines) + "\n"


def as_junit(comparison: Comparison) -> str:
    """One case per figure, and one per reason to fail that is not a figure's."""
    figures = sum(change.worse for change in comparison.changes)
    others = comparison.regressions[figures:]
    count = len(comparison.changes) + comparison.passed + len(others)
    failed = figures + len(others)
    root = junit.suite("regress", tests=count, failures=failed, skipped=len(comparison.not_measured))
    for change in comparison.changes:
        failure = f"{number(change.old)} to {number(change.new)}" if change.worse else ""
        missing = not failure and change.figure in comparison.not_measured
        skipped = "not measured on either kernel" if missing else ""
        junit.case(root, "cost", change.figure, failure=failure, skipped=skipped)
    for reason in others:
        junit.case(root, "kernel", reason, failure=reason)
    return junit.text(root)


def _row(change: Change) -> str:
    relative = "" if change.relative is None else f"{change.relative:+.2%}"
    mark = "worse" if change.worse else ""
    return f"| {change.figure} | {number(change.old)} | {number(change.new)} | {relative} | {mark} |"
