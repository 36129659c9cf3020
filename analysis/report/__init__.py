"""One self-contained HTML file per run, with its figures and their tables beside it."""

from analysis.report.write import write

__all__ = ["write"]
