"""Wording that clients see, as OpenWhisk's (its ErrorResponse.Messages)."""

from __future__ import annotations

from collections.abc import Iterable

MEGABYTE = 1024 * 1024

ENTITY_NOT_FOUND = "The requested resource does not exist."
PATH_NOT_FOUND = "The requested resource could not be found."
AUTH_INVALID = "The supplied authentication is invalid"
AUTH_MISSING = "The resource requires authentication, which was not supplied with the request"
CONFLICT = "resource already exists"
METHOD_NOT_ALLOWED = "HTTP method not allowed, supported methods: "
OVERLOADED = "System is overloaded, try again later."
INTERNAL = "There was an internal server error."
NAME_ILLEGAL = "The name of the entity contains illegal characters."
EXEC_MISSING = "exec undefined"
NOT_AN_OBJECT = "JSON object expected"
RESERVED_PARAMETER = "Request defines parameters that are not allowed (e.g., reserved properties)."

ABNORMAL_INIT = "The action did not initialize and exited unexpectedly."
ABNORMAL_RUN = "The action did not produce a valid response and exited unexpectedly."
OUT_OF_MEMORY = "The action exhausted its memory and was aborted."
PROVISION_FAILED = "Failed to provision resources to run the action."
ACTION_REMOVED = "Action could not be found or may have been deleted."
LOG_FAILURE = "There was an issue while collecting your logs. Data might be missing."

#: What the action proxy says when its launcher ended during a request.
LAUNCHER_EXITED = "command exited"


def malformed(what: str) -> str:
    """A body that is not what it must be."""
    return f"The request content was malformed:\n{what}"


def malformed_query(name: str, what: str) -> str:
    """A query parameter that is not what it must be."""
    return f"The query parameter '{name}' was malformed:\n{what}"


def requirement(what: str) -> str:
    """A limit that is outside its range."""
    return f"requirement failed: {what}"


def unsupported_kind(kind: str, kinds: Iterable[str]) -> str:
    """A kind that is not in the runtimes manifest."""
    valid = "', '".join(kinds)
    return f"The specified runtime '{kind}' is not supported by this platform. Valid values are: '{valid}'."


def not_authorized(namespace: str) -> str:
    """Somebody else's namespace."""
    return f"The supplied authentication is not authorized to access '{namespace}'."


def range_of_limit(value: int, collection: str, most: int) -> str:
    """The `limit` of a list is out of range."""
    return f"The value '{value}' is not in the range of 0 to {most} for {collection}."


def range_of_skip(value: int, collection: str) -> str:
    """The `skip` of a list is negative."""
    return f"The value '{value}' is not greater than or equal to 0 for {collection}."


def not_an_integer(value: str, collection: str) -> str:
    """A number of a list request is none."""
    return f"The value '{value}' is not an integer for {collection}."


def id_length(size: int) -> str:
    """An activation id that cannot be one."""
    return f"Activation id length is {size} but must be 32."


def too_big(size: int, limit: int) -> str:
    """A request body over the limit."""
    return f"Request larger than allowed: {size} > {limit} bytes."


def too_many_in_minute(count: int, allowed: int) -> str:
    """The invocations-per-minute throttle."""
    return f"Too many requests in the last minute (count: {count}, allowed: {allowed})."


def too_many_at_once(count: int, allowed: int) -> str:
    """The concurrency throttle."""
    return f"Too many concurrent requests in flight (count: {count}, allowed: {allowed})."


def pull_failed(image: str) -> str:
    """The image is not there and cannot be fetched."""
    return f"Failed to pull container image '{image}'."


def timed_out(limit_ms: int, *, init: bool) -> str:
    """The action ran into its time limit."""
    return f"The action exceeded its time limits of {limit_ms} milliseconds" + (
        " during initialization." if init else "."
    )


def truncated(size: int, limit: int, head: str) -> str:
    """A result over the payload limit."""
    return (
        f"The action produced a response that exceeded the allowed length: {size} > {limit} bytes."
        f" The truncated response was: {head}"
    )


def invalid_init(body: str) -> str:
    """A proxy answered /init with something other than its own errors."""
    return "The action failed during initialization" + (f": {body}" if body else ".")


def invalid_run(body: str) -> str:
    """A proxy answered /run with something that is no JSON object or array."""
    return "The action did not produce a valid JSON response" + (f": {body}" if body else ".")


def logs_truncated(limit_bytes: int) -> str:
    """The log limit was reached."""
    return f"Logs were truncated because the total bytes size exceeds the limit of {limit_bytes} bytes."
