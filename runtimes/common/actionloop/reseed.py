"""New seeds for the random generators of a process that is a copy of another.

Two requests that start from the same memory must not draw the same numbers. Generators that the
action made and seeded itself are its own: they start from their seed again.
"""

from __future__ import annotations

import os
import sys

from actionloop.action import MODULE

KEEP_SEEDS = "KEEP_SEEDS"
SEED_BYTES = 32


def reseed() -> None:
    """Reseed what is loaded of random, numpy, OpenSSL and tempfile from the kernel.

    An action whose module says `KEEP_SEEDS = True` wants the same numbers in every request.
    """
    if getattr(sys.modules.get(MODULE), KEEP_SEEDS, False):
        return
    if (random := sys.modules.get("random")) is not None:
        random.seed()
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        numpy_random.seed()
    if (ssl := sys.modules.get("_ssl")) is not None:
        ssl.RAND_add(os.urandom(SEED_BYTES), float(SEED_BYTES))
    if (tempfile := sys.modules.get("tempfile")) is not None:
        setattr(tempfile, "_name_sequence", None)  # noqa: B010  made anew at the next use
