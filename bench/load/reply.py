"""What a reply of the platform says about the request, before its result is checked."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

SHOWN_CHARACTERS = 300


def error_of(status: int, content: bytes) -> str:
    """Why the invocation failed, in one line; "" for a 200, whose result is checked later."""
    if status == HTTPStatus.OK:
        return ""
    if status == HTTPStatus.ACCEPTED:
        return "202: still running when the platform stopped waiting"
    return f"{status}: {_reason(content)}"


def _reason(content: bytes) -> str:
    try:
        found = _error_key(json.loads(content))
    except (ValueError, RecursionError):
        found = None
    words = found if found is not None else content.decode(errors="replace") or "empty reply"
    return " ".join(str(words).split())[:SHOWN_CHARACTERS]


def _error_key(reply: Any) -> Any:
    """The `error` of a result, or of the activation around it."""
    while isinstance(reply, dict):
        if "error" in reply:
            return reply["error"]
        reply = reply.get("response", reply.get("result"))
    return None
