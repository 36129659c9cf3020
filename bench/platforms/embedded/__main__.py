"""`python -m bench.platforms.embedded --config FILE.json`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import sys
from pathlib import Path

from bench.errors import BenchError
from bench.platforms.embedded.config import load
from bench.platforms.embedded.server import serve

#: Fewer collections: they are the longest pauses that this process makes by itself.
GC_THRESHOLD = 50_000


def main() -> int:
    """Run the platform; the exit status is the error's."""
    parser = argparse.ArgumentParser(prog="bench.platforms.embedded", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="settings, a JSON file")
    parser.add_argument("--verbose", action="store_true", help="log more")
    asked = parser.parse_args()
    logging.basicConfig(
        level=logging.DEBUG if asked.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    gc.set_threshold(GC_THRESHOLD)
    try:
        config = load(asked.config)
        asyncio.run(serve(config))
    except BenchError as error:
        sys.stderr.write(f"error: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
