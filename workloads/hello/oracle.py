"""The answer of `hello`, stated."""

from __future__ import annotations

from typing import Any


def expected(params: dict[str, Any]) -> dict[str, Any]:
    """The greeting, put together in another way than the action's."""
    return {"greeting": " ".join(["Hello,", params["name"]]) + "!"}
