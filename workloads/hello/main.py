"""The least an action can do: what is measured with it is the platform and the scheme alone."""

from __future__ import annotations

from typing import Any

#: Nobody's data, for a call before the checkpoint (runtimes/rewind-warm).
WARM_UP = {"name": "nobody"}


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Greet `name`."""
    return {"greeting": f"Hello, {args['name']}!"}
