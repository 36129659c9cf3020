"""Floating-point functions in a plain interpreter loop (FunctionBench's float_operation)."""

from __future__ import annotations

import math
from typing import Any

#: Nobody's data, for a call before the checkpoint (runtimes/rewind-warm).
WARM_UP = {"n": 100}


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Sum sin(i), cos(i) and sqrt(i) over 0 <= i < n."""
    n = int(args["n"])
    sine = cosine = root = 0.0
    for i in range(n):
        sine += math.sin(i)
        cosine += math.cos(i)
        root += math.sqrt(i)
    return {"n": n, "sin": sine, "cos": cosine, "sqrt": root}
