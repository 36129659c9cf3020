"""The sums of `float` in closed form, in 50-digit decimals: no term is ever computed.

Sines and cosines: Lagrange's identities. Square roots: the Euler-Maclaurin expansion about
zeta(-1/2).
"""

from __future__ import annotations

from decimal import Decimal, getcontext
from typing import Any

DIGITS = 50
HALF = Decimal("0.5")
ZETA_MINUS_HALF = Decimal("-0.20788622497735456601730672539704930222626853128767")
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


def expected(params: dict[str, Any]) -> dict[str, Any]:
    """Sums over 0 <= i < n of sin(i), cos(i) and sqrt(i)."""
    getcontext().prec = DIGITS
    n = Decimal(params["n"])
    scale = _sin(n / 2) / _sin(HALF)
    return {
        "n": int(n),
        "sin": float(_sin((n - 1) / 2) * scale),
        "cos": float(_sin((n - 1) / 2 + PI / 2) * scale),
        "sqrt": float(_sum_of_roots(n - 1)),
    }


def _sin(x: Decimal) -> Decimal:
    """Taylor's series after removal of whole turns."""
    x = x.remainder_near(2 * PI)
    term, total, k = x, x, 1
    while abs(term) > Decimal(10) ** (-DIGITS + 5):
        k += 2
        term *= -x * x / (k * (k - 1))
        total += term
    return total


def _sum_of_roots(last: Decimal) -> Decimal:
    root = last.sqrt()
    return (
        ZETA_MINUS_HALF
        + 2 * last * root / 3
        + root / 2
        + 1 / (24 * root)
        - 1 / (1920 * last**2 * root)
        + 1 / (9216 * last**4 * root)
    )
