"""The correctness oracle: a workload wrapped so that every request leaves damage behind."""

from bench.oracle.pack import oracle_code
from bench.oracle.verdict import ASPECTS, Answer, judge

__all__ = ["ASPECTS", "Answer", "judge", "oracle_code"]
