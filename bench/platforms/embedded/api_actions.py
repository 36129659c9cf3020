"""Routes of actions: create, read, update, delete, list, invoke."""

from __future__ import annotations

import asyncio
import contextlib
import time

import msgspec
from aiohttp import web

from bench.platforms.embedded import texts
from bench.platforms.embedded.answers import ApiError, reply, transaction_id
from bench.platforms.embedded.api import CONTEXT, SPACE, Context, decoded, flag, page, whole_number
from bench.platforms.embedded.entities import NAME, Action, ActionBody, make
from bench.platforms.embedded.records import Activation

ID_HEADER = "x-openwhisk-activation-id"
MS_PER_S = 1000
HTTP_OF = {
    "success": 200,
    "application error": 502,
    "action developer error": 502,
    "whisk internal error": 500,
}
_encode = msgspec.json.Encoder().encode


def add_routes(app: web.Application) -> None:
    """Register."""
    one = SPACE + "/actions/{name}"
    app.router.add_get(SPACE + "/actions", _list)
    app.router.add_get(one, _get)
    app.router.add_put(one, _put)
    app.router.add_delete(one, _delete)
    app.router.add_post(one, _invoke)


def _known(context: Context, request: web.Request) -> Action:
    found = context.store.action(context.namespace(request), request.match_info["name"])
    if found is None:
        raise ApiError(404, texts.ENTITY_NOT_FOUND)
    return found


async def _list(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    namespace = context.namespace(request)
    limit, skip = page(request, "actions")
    found = context.store.actions(namespace)
    if flag(request, "count"):
        return reply(request, {"actions": max(0, len(found) - skip)})
    return reply(request, [a.summary() for a in found[skip : skip + limit]])


async def _get(request: web.Request) -> web.Response:
    action = _known(request.app[CONTEXT], request)
    return reply(request, action.wire(code=flag(request, "code", default=True)))


async def _put(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    namespace = context.namespace(request)
    name = request.match_info["name"]
    if not NAME.fullmatch(name):
        raise ApiError(400, texts.NAME_ILLEGAL)
    overwrite = flag(request, "overwrite")
    body = decoded(await request.read(), ActionBody)
    old = context.store.action(namespace, name)  # from here on without a pause: two PUTs cannot mix
    if old is not None and not overwrite:
        raise ApiError(409, texts.CONFLICT)
    action = make(namespace, name, body, old, context.config)
    await context.store.put_action(action)
    if old is not None:
        context.invoker.forget(old)
    return reply(request, action.wire())


async def _delete(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    action = _known(context, request)
    await context.store.delete_action(action)
    context.invoker.forget(action)
    return reply(request, action.wire())


async def _invoke(request: web.Request) -> web.Response:
    receipt_ns = time.monotonic_ns()
    context = request.app[CONTEXT]
    action = _known(context, request)
    blocking = flag(request, "blocking")
    only_result = flag(request, "result")
    wait_s = _wait_s(context, request)
    args = await _arguments(context, action, request)
    if context.closing:
        raise ApiError(503, texts.OVERLOADED)
    context.throttle.enter(action.namespace, time.time())
    activation = context.invoker.invoke(
        action,
        args,
        transaction_id(request),
        receipt_ns,
        ended=lambda: context.throttle.leave(action.namespace),
    )
    if blocking:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await activation.ended.wait()
    header = {ID_HEADER: activation.id}
    if not blocking or activation.outcome is None:
        return reply(request, {"activationId": activation.id}, 202, header)
    return _answer(request, activation, only_result=only_result)


def _answer(request: web.Request, activation: Activation, *, only_result: bool) -> web.Response:
    assert activation.outcome is not None  # noqa: S101 - it has ended
    status = HTTP_OF[activation.outcome.status]
    body = activation.outcome.result if only_result else activation.wire(logs=False)
    return reply(request, body, status, {ID_HEADER: activation.id})


def _wait_s(context: Context, request: web.Request) -> float:
    most = context.config.limits.blocking_ms
    asked = whole_number(request, "timeout", "actions")
    if asked is None:
        return most / MS_PER_S
    if not 0 < asked <= most:
        wrong = f"Timeout must be number of milliseconds up to {most}."
        raise ApiError(400, texts.malformed_query("timeout", wrong))
    return asked / MS_PER_S


async def _arguments(context: Context, action: Action, request: web.Request) -> msgspec.Raw:
    """The body over the action's own parameters; passed on as it came where there are none."""
    limit = context.config.limits.payload_bytes
    told = request.content_length
    if told is not None and told > limit:
        raise ApiError(413, texts.too_big(told, limit))
    body = await request.read()
    if len(body) > limit:
        raise ApiError(413, texts.too_big(len(body), limit))
    if not body.strip():
        body = b"{}"
    given: dict[str, msgspec.Raw] = decoded(body, dict[str, msgspec.Raw])
    if not action.parameters:
        return msgspec.Raw(body)
    return msgspec.Raw(_encode({**{p.key: p.value for p in action.parameters}, **given}))
