"""Dense matrix product (FunctionBench's matmul)."""

from __future__ import annotations

import os
from typing import Any

# A container has one core, as in the paper's set-up: more BLAS threads than cores only add noise.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

# numpy loads its generators at their first use: here, so that no request pays for the import.
from numpy.random import RandomState

#: Nobody's data, for a call before the checkpoint (runtimes/rewind-warm).
WARM_UP = {"n": 16, "seed": 1}


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Multiply two n x n matrices of uniform random numbers; return checks that cover every element."""
    n, seed = int(args["n"]), int(args["seed"])
    # Seeded by a list, this generator gives the very stream of random.Random(seed): the oracle
    # draws the same matrices without numpy.
    draw = RandomState([seed])
    left, right = draw.rand(n, n), draw.rand(n, n)
    product = left @ right
    weights = np.arange(1, n + 1)
    middle = n // 2
    return {
        "n": n,
        "sum": float(product.sum()),
        "trace": float(product.trace()),
        # weight i * j for element (i, j), so that no two elements may be exchanged
        "weighted": float(weights @ product @ weights),
        "first_row": product[0, :8].tolist(),
        "middle": float(product[middle, middle]),
        "last": float(product[-1, -1]),
    }
