"""The REST application: authentication, errors, and what is neither action nor activation."""

from __future__ import annotations

import base64
import binascii
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from bench import __version__
from bench.platforms.embedded import texts
from bench.platforms.embedded.answers import ApiError, failure, reply, transaction_id
from bench.platforms.embedded.config import Config
from bench.platforms.embedded.invoker import Invoker
from bench.platforms.embedded.store import Store
from bench.platforms.embedded.throttle import Throttle

API = "/api/v1"
SPACE = API + "/namespaces/{namespace}"
REALM = {"WWW-Authenticate": 'Basic realm="OpenWhisk secure realm"'}
#: A PUT carries the code; base64 of it plus the rest.
MAX_BODY_BYTES = 128 * texts.MEGABYTE
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = logging.getLogger(__name__)


class Context:
    """What the handlers work with."""

    def __init__(self, config: Config, store: Store, invoker: Invoker) -> None:
        self.config = config
        self.store = store
        self.invoker = invoker
        self.throttle = Throttle(config.throttles)
        #: True while the platform ends: nothing new is taken.
        self.closing = False
        self._namespaces = {
            b"Basic " + base64.b64encode(key.encode()): namespace for namespace, key in config.auth.items()
        }

    def identify(self, request: web.Request) -> str:
        """The namespace that the request's key belongs to; ApiError 401."""
        given = request.headers.get("Authorization")
        if given is None:
            raise ApiError(401, texts.AUTH_MISSING, REALM)
        namespace = self._namespaces.get(given.encode())
        if namespace is None:
            namespace = self._namespaces.get(_canonical(given))
        if namespace is None:
            raise ApiError(401, texts.AUTH_INVALID, REALM)
        return namespace

    def namespace(self, request: web.Request) -> str:
        """The namespace of the path, checked against the key; ApiError 401, 403."""
        own = self.identify(request)
        asked = request.match_info["namespace"]
        if asked not in ("_", own):
            raise ApiError(403, texts.not_authorized(asked))
        return own


CONTEXT: web.AppKey[Context] = web.AppKey("context", Context)


def make_app(context: Context) -> web.Application:
    """All routes."""
    from bench.platforms.embedded import api_actions, api_activations  # noqa: PLC0415 - they need this module

    app = web.Application(middlewares=[_errors], client_max_size=MAX_BODY_BYTES)
    app[CONTEXT] = context
    app.router.add_get("/ping", _ping)
    app.router.add_get("/", _root)
    app.router.add_get(API, _description)
    app.router.add_get(API + "/namespaces", _namespaces)
    app.router.add_get(SPACE + "/limits", _limits)
    app.router.add_get("/rewind-bench/stats", _stats)
    for nothing in ("packages", "triggers", "rules"):
        app.router.add_get(f"{SPACE}/{nothing}", _empty)
        app.router.add_route("*", f"{SPACE}/{nothing}/{{name}}", _missing)
    api_actions.add_routes(app)
    api_activations.add_routes(app)
    return app


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return failure(request, error)
    except web.HTTPNotFound:
        return failure(request, ApiError(404, texts.PATH_NOT_FOUND))
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return failure(request, ApiError(405, texts.METHOD_NOT_ALLOWED + allowed))
    except web.HTTPRequestEntityTooLarge as error:
        return failure(request, ApiError(413, str(error.text)))
    except (ConnectionError, aiohttp.ClientPayloadError, web.HTTPException):
        raise
    except Exception:
        log.exception("%s %s", request.method, request.path)
        return failure(request, ApiError(500, texts.INTERNAL))


async def _ping(request: web.Request) -> web.Response:
    return web.Response(text="pong", headers={"X-Request-ID": transaction_id(request)})


async def _root(request: web.Request) -> web.Response:
    config = request.app[CONTEXT].config
    kinds = {
        kind.split(":", maxsplit=1)[0]: [{"kind": kind, "image": k.image, "default": k.default}]
        for kind, k in config.kinds.items()
    }
    body = {
        "api_paths": [API],
        "description": "OpenWhisk",
        "limits": {"actions_per_minute": config.throttles.invocations_per_minute},
        "runtimes": kinds,
        "support": {},
    }
    return reply(request, body)


async def _description(request: web.Request) -> web.Response:
    body = {
        "api_version": "1.0.0",
        "api_version_path": "v1",
        "build": f"rewind-bench {__version__}",
        "buildno": __version__,
        "description": "OpenWhisk API",
        "swagger_paths": {"api-docs": "/api-docs", "ui": "/docs/"},
    }
    return reply(request, body)


async def _namespaces(request: web.Request) -> web.Response:
    return reply(request, [request.app[CONTEXT].identify(request)])


async def _limits(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    context.namespace(request)
    limits, rates = context.config.limits, context.config.throttles
    body = {
        "concurrentInvocations": rates.concurrent_invocations,
        "invocationsPerMinute": rates.invocations_per_minute,
        "firesPerMinute": rates.invocations_per_minute,
        "maxActionMemory": limits.max_memory_mb,
        "minActionMemory": limits.min_memory_mb,
        "maxActionTimeout": limits.max_timeout_ms,
        "minActionTimeout": limits.min_timeout_ms,
        "maxActionLogs": limits.max_logs_mb,
        "minActionLogs": 0,
        "maxActionConcurrency": 1,
        "minActionConcurrency": 1,
        "maxParameterSize": f"{limits.payload_bytes} B",
    }
    return reply(request, body)


async def _stats(request: web.Request) -> web.Response:
    """Beyond OpenWhisk: what the pool holds, what was counted, CPU time of this process."""
    context = request.app[CONTEXT]
    context.identify(request)
    invoker = context.invoker
    body = {
        "pool": invoker.pool.counts(),
        "counters": dict(invoker.counters),
        "cpuNs": time.process_time_ns(),
        "nowNs": time.monotonic_ns(),
        "containers": invoker.containers(),
    }
    return reply(request, body)


async def _empty(request: web.Request) -> web.Response:
    request.app[CONTEXT].namespace(request)
    return reply(request, [])


async def _missing(request: web.Request) -> web.Response:
    request.app[CONTEXT].namespace(request)
    raise ApiError(404, texts.ENTITY_NOT_FOUND)


def _canonical(given: str) -> bytes:
    """Another spelling of the same credentials: case of the scheme, padding."""
    scheme, _, rest = given.partition(" ")
    try:
        key = base64.b64decode(rest.strip() + "==")
    except (binascii.Error, ValueError):
        return b""
    return b"Basic " + base64.b64encode(key) if scheme.lower() == "basic" else b""


def whole_number(request: web.Request, name: str, collection: str) -> int | None:
    """An integer query parameter; ApiError 400."""
    text = request.query.get(name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise ApiError(400, texts.malformed_query(name, texts.not_an_integer(text, collection))) from None


MOST = 200
USUAL = 30


def page(request: web.Request, collection: str) -> tuple[int, int]:
    """`limit` and `skip` of a list; 0 stands for as many as allowed."""
    limit = whole_number(request, "limit", collection)
    skip = whole_number(request, "skip", collection) or 0
    if limit is not None and not 0 <= limit <= MOST:
        raise ApiError(400, texts.malformed_query("limit", texts.range_of_limit(limit, collection, MOST)))
    if skip < 0:
        raise ApiError(400, texts.malformed_query("skip", texts.range_of_skip(skip, collection)))
    return (USUAL if limit is None else limit or MOST), skip


def flag(request: web.Request, name: str, *, default: bool = False) -> bool:
    """A true/false query parameter; ApiError 400."""
    text = request.query.get(name)
    if text is None:
        return default
    if text.lower() not in ("true", "false", "yes", "no", "on", "off", "1", "0"):
        wrong = f"'{text}' is not a valid Boolean value"
        raise ApiError(400, texts.malformed_query(name, wrong))
    return text.lower() in ("true", "yes", "on", "1")


def decoded(body: bytes, kind: type[Any]) -> Any:
    """A JSON body; ApiError 400."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        wrong = str(error)
        if (
            wrong.startswith("Expected `object`")
            and wrong.endswith(("`", "array", "null"))
            and "$" not in wrong
        ):
            wrong = texts.NOT_AN_OBJECT
        raise ApiError(400, texts.malformed(wrong)) from error
