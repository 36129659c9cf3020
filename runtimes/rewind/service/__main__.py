"""The file reset service: puts back what a container's requests did to its files.

A root process on the testbed. `--folder` gets `socket/files` (that folder is mounted into all
containers), `own/NAME/files` for containers that have one to themselves, `control` and `records/`;
`--host` is where the host's root file system is seen, for a service in a container (/proc/1/root with
the host's process numbers).
"""

from __future__ import annotations

import argparse
import logging
import resource
import sys
from pathlib import Path

from registry import Registry
from server import Server

#: A turn of the interpreter's lock: a reset must not wait long behind another's.
SWITCH_S = 0.0005
log = logging.getLogger(__name__)


def main() -> None:
    """Serve for ever."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--host", default="")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    sys.setswitchinterval(SWITCH_S)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server = Server(chosen.folder, Registry(chosen.folder / "records", chosen.host))
    log.info("ready")
    server.run()


if __name__ == "__main__":
    main()
