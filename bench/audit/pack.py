"""The audit's action as a zip."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bench.audit.channels import ChannelInfo
from bench.packaging import zipped

PROBE = Path(__file__).parent / "probe"
MAIN = """\
import json, pathlib
from probe import serve
serve.prepare(**json.loads((pathlib.Path(__file__).parent / "channels.json").read_text()))
main = serve.main
"""


def probe_code(chosen: Sequence[ChannelInfo]) -> bytes:
    """A zip to put as an action's code; it prepares and serves these channels."""
    selection = {
        "families": sorted({info.family for info in chosen}),
        "names": sorted(info.name for info in chosen),
    }
    files = {f"probe/{path.name}": path.read_bytes() for path in sorted(PROBE.glob("*.py"))}
    return zipped({"__main__.py": MAIN.encode(), "channels.json": json.dumps(selection).encode(), **files})
