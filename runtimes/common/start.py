"""Start a launcher: `start.py SCHEME_FOLDER ACTION_FOLDER MAIN`; run by an action's bin/exec."""

# pathlib would be one more module in every measured process.
# ruff: noqa: PTH118
from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING, cast

from actionloop import loop

if TYPE_CHECKING:
    from actionloop.loop import Scheme


def _scheme(folder: str) -> Scheme:
    """The object `SCHEME` of launcher.py in the scheme's folder."""
    spec = importlib.util.spec_from_file_location("actionloop_scheme", os.path.join(folder, "launcher.py"))
    if spec is None or spec.loader is None:
        raise FileNotFoundError(folder)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return cast("Scheme", module.SCHEME)


if __name__ == "__main__":
    sys.exit(loop.run(_scheme(sys.argv[1]), sys.argv[2], sys.argv[3]))
