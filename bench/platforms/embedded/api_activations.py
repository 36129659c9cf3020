"""Routes of activation records."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from bench.platforms.embedded import texts
from bench.platforms.embedded.answers import ApiError, reply
from bench.platforms.embedded.api import CONTEXT, SPACE, flag, page, whole_number
from bench.platforms.embedded.records import summary
from bench.platforms.embedded.store import Query

ID_LENGTH = 32
#: A record is given out when its logs and the container's word are in, or after this.
COMPLETE_WITHIN_S = 3.0


def add_routes(app: web.Application) -> None:
    """Register."""
    one = SPACE + "/activations/{id}"
    app.router.add_get(SPACE + "/activations", _list)
    app.router.add_get(one, _get)
    app.router.add_get(one + "/logs", _logs)
    app.router.add_get(one + "/result", _result)


async def _record(request: web.Request) -> dict[str, Any]:
    context = request.app[CONTEXT]
    namespace = context.namespace(request)
    activation_id = request.match_info["id"]
    if len(activation_id) != ID_LENGTH:
        raise ApiError(400, texts.id_length(len(activation_id)))
    found = await context.store.activation(namespace, activation_id, COMPLETE_WITHIN_S)
    if found is None:
        raise ApiError(404, texts.ENTITY_NOT_FOUND)
    return found


async def _get(request: web.Request) -> web.Response:
    return reply(request, await _record(request))


async def _logs(request: web.Request) -> web.Response:
    return reply(request, {"logs": (await _record(request))["logs"]})


async def _result(request: web.Request) -> web.Response:
    return reply(request, (await _record(request))["response"])


async def _list(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    namespace = context.namespace(request)
    limit, skip = page(request, "activations")
    counted = flag(request, "count")
    query = Query(
        namespace=namespace,
        name=request.query.get("name") or None,
        limit=-1 if counted else limit,
        skip=skip,
        since_ms=whole_number(request, "since", "activations"),
        upto_ms=whole_number(request, "upto", "activations"),
    )
    records = await context.store.activations(query)
    if counted:
        return reply(request, {"activations": len(records)})
    if flag(request, "docs"):
        return reply(request, records)
    return reply(request, [summary(record) for record in records])
