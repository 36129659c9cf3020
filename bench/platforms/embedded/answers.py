"""Answers of the REST interface and the errors among them."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from aiohttp import web

_encode = msgspec.json.Encoder().encode


class ApiError(Exception):
    """An answer that is not a success: `{"error": text, "code": transaction id}`."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers or {}


def transaction_id(request: web.BaseRequest) -> str:
    """The client's own, or a new one; every answer carries it."""
    given = request.get("transaction")
    if given is None:
        given = request.headers.get("X-Request-ID") or secrets.token_hex(16)
        request["transaction"] = given
    return str(given)


def reply(
    request: web.BaseRequest, body: Any, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """A JSON answer."""
    every = {"X-Request-ID": transaction_id(request), "Content-Type": "application/json"}
    return web.Response(body=_encode(body), status=status, headers={**every, **(headers or {})})


def failure(request: web.BaseRequest, error: ApiError) -> web.Response:
    """The answer for an error."""
    body = {"code": transaction_id(request), "error": error.text}
    return reply(request, body, error.status, error.headers)
