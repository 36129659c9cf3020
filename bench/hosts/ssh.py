"""A Linux machine over SSH: commands, files, its Docker daemon, its loopback ports."""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from uuid import uuid4

import paramiko
from docker import DockerClient
from docker.errors import DockerException

from bench.errors import AccessError, BenchError, CommandError, DockerError, HostLostError
from bench.hosts.base import Address
from bench.hosts.leftovers import short_folder
from bench.hosts.sshfiles import read_all, write_all
from bench.hosts.sshlogin import WINDOW_BYTES, Target, Transport, connect
from bench.hosts.tunnel import tcp_listener, unix_listener
from bench.process import Completed, raise_failed

DOCKER_SOCKET = "/var/run/docker.sock"
#: The Docker client's own time limit: building and loading take minutes under emulation.
DOCKER_TIMEOUT_S = 900
CHUNK_BYTES = 64 << 10


class SshHost:
    """A Host over one SSH connection; see bench.hosts.base.Host."""

    container_network = True

    def __init__(self, client: paramiko.SSHClient, *, name: str, accelerator: str = "unknown") -> None:
        self.name = name
        self.accelerator = accelerator
        self._client = client
        self._stack = contextlib.ExitStack()
        self._lock = threading.RLock()
        self._docker: DockerClient | None = None
        self._sudo: tuple[str, ...] = ()
        if self.run(["id", "-u"]).text != "0":
            self._sudo = ("sudo", "-n", "--")
            self._check_sudo()

    @classmethod
    def open(cls, where: str) -> SshHost:
        """Log in to `[user@]host[:port]` with this user's own SSH configuration and keys."""
        return cls(connect(Target.parse(where)), name=where)

    # -- commands ---------------------------------------------------------------------------

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = 60.0,
        stdin: bytes | None = None,
        check: bool = True,
    ) -> Completed:
        """Run a command as root; see Host.run. One out of time is killed over there."""
        words = [*self._sudo, "timeout", "-k", "5", f"{timeout_s:.1f}", *argv]
        done = self._execute(shlex.join(words), tuple(argv), timeout_s + 15, stdin)
        if done.status == 124 and check:  # as timeout(1) says it
            raise CommandError(f"'{argv[0]}' on {self.name} did not finish within {timeout_s:.0f} s")
        if check and done.status != 0:
            raise_failed(done)
        return done

    def put(self, data: bytes, path: str, mode: int = 0o644) -> None:
        """Write a file, atomically; see Host.put."""
        part = f"{PurePosixPath(path).parent}/.{uuid4().hex}.part"
        self.run(["mkdir", "-p", "--", str(PurePosixPath(path).parent)])
        if self._sudo:
            self.run(["tee", "--", part], stdin=data, timeout_s=600)
        else:
            with self._as_ours(f"writing {path}"), self._client.open_sftp() as sftp:
                write_all(sftp, data, part)
        self.run(["sh", "-c", 'chmod "$1" "$2" && mv -f -T "$2" "$3"', "put", f"{mode:o}", part, path])

    def get(self, path: str) -> bytes:
        """Read a file, also of /proc; see Host.get."""
        if self._sudo:
            return self.run(["cat", "--", path], timeout_s=600).stdout
        with self._as_ours(f"reading {path}"), self._client.open_sftp() as sftp:
            return read_all(sftp, path)

    # -- Docker and ports -------------------------------------------------------------------

    def docker(self) -> DockerClient:
        """The Docker daemon over there, through its socket; see Host.docker."""
        with self._lock:
            if self._docker is None:
                self._docker = self._connect_docker()
            return self._docker

    @contextlib.contextmanager
    def forward(self, port: int) -> Iterator[Address]:
        """Make a port of the other machine's loopback reachable here; see Host.forward."""

        def open_channel() -> paramiko.Channel:
            return self._transport().open_channel(
                "direct-tcpip", ("127.0.0.1", port), ("127.0.0.1", 0), window_size=WINDOW_BYTES
            )

        self._transport()
        with tcp_listener(open_channel) as local:
            yield Address("127.0.0.1", local)

    def alive(self) -> bool:
        """True while the connection stands."""
        transport = self._client.get_transport()
        return transport is not None and transport.is_active()

    def close(self) -> None:
        """Close the connection and all that goes through it."""
        self._stack.close()
        self._client.close()

    # -- inside -----------------------------------------------------------------------------

    def _lost(self, doing: str) -> BenchError:
        """The error for a dead connection; a machine that knows more says more."""
        return HostLostError(
            f"the connection to {self.name} was lost while {doing}",
            hint="see whether the machine is up, then continue with 'rewind-bench run --resume'",
        )

    def _transport(self) -> Transport:
        transport = self._client.get_transport()
        if not isinstance(transport, Transport) or not transport.is_active():
            raise self._lost("using it")
        return transport

    @contextlib.contextmanager
    def _as_ours(self, doing: str) -> Iterator[None]:
        try:
            self._transport()
            yield
        except FileNotFoundError as error:
            raise CommandError(f"{doing} on {self.name}: no such file") from error
        except PermissionError as error:
            raise CommandError(f"{doing} on {self.name}: permission denied") from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            if self.alive() and not isinstance(error, EOFError):
                raise CommandError(f"{doing} on {self.name}: {error}") from error
            raise self._lost(doing) from error

    def _execute(self, line: str, argv: tuple[str, ...], timeout_s: float, stdin: bytes | None) -> Completed:
        doing = f"running '{argv[0]}'"
        with self._as_ours(doing):
            channel = self._transport().open_session(window_size=WINDOW_BYTES)
        with contextlib.closing(channel):
            with self._as_ours(doing):
                channel.exec_command(line)
            return self._collect(channel, argv, time.monotonic() + timeout_s, stdin)

    def _collect(
        self, channel: paramiko.Channel, argv: tuple[str, ...], deadline: float, stdin: bytes | None
    ) -> Completed:
        errors: list[bytes] = []

        def read_errors() -> None:
            with contextlib.suppress(OSError, EOFError):
                while data := channel.recv_stderr(CHUNK_BYTES):
                    errors.append(data)

        def write_input() -> None:
            with contextlib.suppress(OSError, EOFError):
                if stdin:
                    channel.sendall(stdin)
                channel.shutdown_write()

        helpers = [threading.Thread(target=task, daemon=True) for task in (read_errors, write_input)]
        for helper in helpers:
            helper.start()
        output = self._read_output(channel, argv, deadline)
        helpers[0].join(max(0.0, deadline - time.monotonic()))
        status = channel.recv_exit_status()  # -1: the connection ended before the command did
        if status < 0:
            raise self._lost(f"running '{argv[0]}'")
        return Completed(argv, status, output, b"".join(errors))

    def _read_output(self, channel: paramiko.Channel, argv: tuple[str, ...], deadline: float) -> bytes:
        parts: list[bytes] = []
        while True:
            channel.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = channel.recv(CHUNK_BYTES)
            except TimeoutError:
                raise CommandError(f"'{argv[0]}' on {self.name} did not finish in time") from None
            except (OSError, EOFError) as error:
                raise self._lost(f"running '{argv[0]}'") from error
            if not data:
                return b"".join(parts)
            parts.append(data)

    def _check_sudo(self) -> None:
        if self.run(["true"], check=False).status != 0:
            raise AccessError(
                f"the user on {self.name} is not root and may not use sudo without a password",
                hint="log in as root, or allow it: echo 'USER ALL=(ALL) NOPASSWD: ALL' in /etc/sudoers.d",
            )

    def _connect_docker(self) -> DockerClient:
        folder = self._stack.enter_context(short_folder())
        path = self._stack.enter_context(unix_listener(folder / "docker", self._open_docker))
        try:
            client = DockerClient(f"unix://{path}", timeout=DOCKER_TIMEOUT_S, max_pool_size=32)
            self._stack.callback(client.close)
            client.ping()
        except (DockerException, OSError) as error:
            self._transport()
            raise DockerError(
                f"no Docker daemon answers on {self.name}: {error}",
                hint=f"see there: systemctl status docker; the socket must be {DOCKER_SOCKET}",
            ) from error
        return client

    def _open_docker(self) -> paramiko.Channel:
        """A channel to the daemon's socket; a user who may not open it goes through sudo."""
        transport = self._transport()
        if self._sudo:
            channel = transport.open_session(window_size=WINDOW_BYTES)
            channel.exec_command(shlex.join([*self._sudo, "docker", "system", "dial-stdio"]))
            return channel
        return transport.open_unix(DOCKER_SOCKET)
