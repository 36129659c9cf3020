"""The checks of `matmul` from identities, without numpy and without ever multiplying the matrices.

sum(AB) = (column sums of A) . (row sums of B); weights' AB weights = (weights' A) . (B weights);
trace(AB) = sum over i, j of A[i][j] B[j][i]. Sums are exactly rounded (fsum).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from math import fsum
from typing import Any

Matrix = list[list[float]]


def expected(params: dict[str, Any]) -> dict[str, Any]:
    """The answer for matrices of `n` x `n` drawn from `seed`, left one first, row by row."""
    n = int(params["n"])
    draw = random.Random(params["seed"]).random
    left: Matrix = [[draw() for _ in range(n)] for _ in range(n)]
    right: Matrix = [[draw() for _ in range(n)] for _ in range(n)]
    columns = list(zip(*right, strict=True))
    left_columns = list(zip(*left, strict=True))
    weights = [float(k) for k in range(1, n + 1)]
    middle = n // 2
    return {
        "n": n,
        "sum": _dot(map(fsum, left_columns), map(fsum, right)),
        "trace": fsum(_dot(row, column) for row, column in zip(left, columns, strict=True)),
        "weighted": _dot((_dot(weights, c) for c in left_columns), (_dot(row, weights) for row in right)),
        "first_row": [_dot(left[0], column) for column in columns[:8]],
        "middle": _dot(left[middle], columns[middle]),
        "last": _dot(left[-1], columns[-1]),
    }


def _dot(one: Iterable[float] | Sequence[float], other: Iterable[float] | Sequence[float]) -> float:
    return fsum(a * b for a, b in zip(one, other, strict=True))
