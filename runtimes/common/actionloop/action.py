"""The action: its import, and one call of it."""

# pathlib would be one more module in every measured process.
# ruff: noqa: PTH112, PTH113, PTH118, PTH123, PTH207
from __future__ import annotations

import contextlib
import glob
import importlib
import json
import os
import site
import sys
import traceback
from collections.abc import Callable
from typing import Any

from actionloop.channel import encode

MODULE = "main__"


class CannotStartError(Exception):
    """The action cannot be called; the message goes into the answer to `/init`."""


def load(folder: str, name: str) -> Callable[[Any], Any]:
    """Import the action from its folder and return its function `name`."""
    sys.path[0] = folder  # was the launcher's own
    sys.argv = [os.path.join(folder, "exec")]
    _activate(os.path.join(folder, "virtualenv"))
    try:
        module = importlib.import_module(MODULE)
    except Exception as error:
        traceback.print_exc()
        raise CannotStartError(f"{type(error).__name__}: {error}") from error
    function: Callable[[Any], Any] | None = getattr(module, name, None)
    if function is None or not callable(function):
        raise CannotStartError(f"the action has no function '{name}'")
    return function


def _activate(virtualenv: str) -> None:
    """Use the packages of a virtual environment that came with the action."""
    if not os.path.isdir(virtualenv):
        return
    script = os.path.join(virtualenv, "bin", "activate_this.py")
    packages = glob.glob(os.path.join(virtualenv, "lib", "python3*", "site-packages"))
    if os.path.isfile(script):
        with open(script, encoding="utf-8") as file:
            exec(compile(file.read(), script, "exec"), {"__file__": script, "__name__": "activate_this"})  # noqa: S102
    elif packages:
        site.addsitedir(packages[0])
    else:
        raise CannotStartError("Invalid virtualenv. Zip file does not include 'activate_this.py'.")


def call(function: Callable[[Any], Any], request: bytes) -> bytes:
    """Set the environment of one request, call the action, and return the line of its reply.

    An exception of the action, and a result that is not JSON, become `{"error": …}` with the
    traceback on standard error; a result of another type than dictionary or array is passed on
    for the proxy to refuse. What ends the process (`sys.exit`) passes through.
    """
    try:
        reply = encode(function(_accept(request)))
    except Exception as error:  # noqa: BLE001  whatever an action does
        traceback.print_exc()
        reply = encode({"error": str(error).encode(errors="replace").decode()})
    for stream in (sys.stdout, sys.stderr):  # before the reply: the log ends with it
        with contextlib.suppress(Exception):  # the action may have closed or replaced it
            stream.flush()
    return reply


def _accept(request: bytes) -> Any:
    value: Any = {}
    for key, item in json.loads(request).items():
        if key == "value":
            value = item
        else:
            os.environ[f"__OW_{key.upper()}"] = item if isinstance(item, str) else json.dumps(item)
    return value
