"""The platform's process: port, driver, store and routes, from start to clean end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from pathlib import Path

from aiohttp import web

from bench.errors import PlatformError, PortInUseError
from bench.platforms.embedded.api import Context, make_app
from bench.platforms.embedded.config import Config
from bench.platforms.embedded.driver import Driver
from bench.platforms.embedded.invoker import Invoker
from bench.platforms.embedded.store import Store

BACKLOG = 1024
PARENT_POLL_S = 1.0
log = logging.getLogger(__name__)


async def serve(config: Config) -> None:
    """Run until SIGTERM or SIGINT; every container is gone when this returns.

    Raises PortInUseError, DockerError, PlatformError, ConfigError before it has listened.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # The port comes first: who has it is the only platform of that number, so what its label
    # marks is left over.
    with listening(config.host, config.port) as sock:
        port = int(sock.getsockname()[1])
        driver = _driver(config, port)
        async with contextlib.AsyncExitStack() as stack:
            store = Store(config.database, config.max_activations)
            stack.push_async_callback(store.close)
            await store.open()
            await driver.open()
            invoker = Invoker(config, driver, store)
            stack.push_async_callback(invoker.close)
            await invoker.open()
            context = Context(config, store, invoker)
            runner = web.AppRunner(make_app(context), access_log=None, shutdown_timeout=1.0)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.SockSite(runner, sock, backlog=BACKLOG).start()
            if config.port_file:
                _tell(Path(config.port_file), port)
            log.info("listening on %s:%d", config.host, port)
            if config.stop_with_parent:
                await _until_orphaned(stop)
            await stop.wait()
            log.info("ending: removing containers")
            context.closing = True


def _driver(config: Config, port: int) -> Driver:
    # Imported only where used: Docker's SDK is most of this program's start.
    if config.driver == "docker":
        from bench.platforms.embedded.docker_driver import DockerDriver  # noqa: PLC0415

        return DockerDriver(config, port)
    from bench.platforms.embedded.process_driver import ProcessDriver  # noqa: PLC0415

    return ProcessDriver(config)


def listening(host: str, port: int) -> socket.socket:
    """A bound socket; PortInUseError when somebody has the port, PlatformError otherwise."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise PlatformError(f"cannot listen on {host}:{port}: {error}", hint="set 'host'") from error
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"port {port} on {host} is in use",
                hint=f"end what listens there ('ss -ltnp sport = :{port}'), or set another 'port'",
            ) from error
        raise PlatformError(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="set 'host' and 'port'"
        ) from error
    return sock


async def _until_orphaned(stop: asyncio.Event) -> None:
    """Return when `stop` is set, or set it when the parent is gone."""
    parent = os.getppid()
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), PARENT_POLL_S)
        if os.getppid() != parent:
            log.warning("the process that started this platform is gone")
            stop.set()


def _tell(path: Path, port: int) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(f"{port}\n")
    fresh.replace(path)
