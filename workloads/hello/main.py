"""The least an action can do: what is measured with it is the platform and the scheme alone."""

from __future__ import annotations

from typing import Any


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Greet `name`."""
    return {"greeting": f"Hello, {args['name']}!"}
