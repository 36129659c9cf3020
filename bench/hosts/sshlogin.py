"""Logging in over SSH: who, where, with which key, and which host key is the right one."""

from __future__ import annotations

import base64
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko

from bench.errors import HostLostError, UserError

# Its log repeats, with tracebacks, what the errors raised here say once.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

CONNECT_S = 20.0
KEEPALIVE_S = 5
SSH_PORT = 22
#: The SSH window; with the default of 2 MB it would be refilled in small steps.
WINDOW_BYTES = 8 << 20


class Transport(paramiko.Transport):
    """Paramiko's transport, which can also reach unix sockets of the other machine."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._request = threading.local()
        super().__init__(*args, **options)

    def open_unix(self, path: str) -> paramiko.Channel:
        """Open a channel to a unix socket over there (OpenSSH's direct-streamlocal)."""
        self._request.path = path
        try:
            return self.open_channel("direct-streamlocal@openssh.com", window_size=WINDOW_BYTES)
        finally:
            self._request.path = None

    def _send_user_message(self, data: paramiko.Message) -> None:
        # Paramiko knows no such kind of channel, and so adds none of its fields to the request.
        path = getattr(self._request, "path", None)
        if path is not None:
            self._request.path = None
            data.add_string(path)
            data.add_string("")
            data.add_int(0)
        super()._send_user_message(data)  # type: ignore[misc] # not in the stubs


@dataclass(frozen=True)
class Target:
    """Where and as whom to log in."""

    host: str
    user: str = ""
    port: int = SSH_PORT
    #: A private key; else the user's agent and default keys.
    key: Path | None = None
    #: "ssh-ed25519 AAAA…": the only host key accepted; else the user's known_hosts decides.
    host_key: str = ""

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read `[user@]host[:port]`; settings of ~/.ssh/config apply."""
        user, _, rest = text.rpartition("@")
        host, _, port = rest.rpartition(":") if rest.count(":") == 1 else (rest, "", "")
        if not host or (port and not port.isdecimal()):
            raise UserError(f"'{text}' is not user@host[:port]", hint="for example: root@node1:22")
        config = paramiko.SSHConfig()
        path = Path.home() / ".ssh" / "config"
        if path.is_file():
            config = paramiko.SSHConfig.from_path(str(path))
        known = config.lookup(host)
        keys = [Path(name).expanduser() for name in known.get("identityfile", [])]
        return cls(
            host=known.get("hostname", host),
            user=user or known.get("user", ""),
            port=int(port or known.get("port", str(SSH_PORT))),
            key=next((key for key in keys if key.is_file()), None),
        )


def connect(target: Target, *, timeout_s: float = CONNECT_S) -> paramiko.SSHClient:
    """Log in; HostLostError when that fails."""
    client = paramiko.SSHClient()
    name = target.host if target.port == SSH_PORT else f"[{target.host}]:{target.port}"
    if target.host_key:
        kind, blob = target.host_key.split()[:2]
        client.get_host_keys().add(name, kind, paramiko.PKey.from_type_string(kind, base64.b64decode(blob)))
    else:
        client.load_system_host_keys()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    try:
        client.connect(
            target.host,
            target.port,
            username=target.user or None,
            key_filename=str(target.key) if target.key else None,
            allow_agent=target.key is None,
            look_for_keys=target.key is None,
            transport_factory=Transport,
            timeout=timeout_s,
            banner_timeout=timeout_s,
            auth_timeout=timeout_s,
        )
    except (OSError, EOFError, paramiko.SSHException) as error:
        client.close()
        raise HostLostError(
            f"cannot log in to {target.user or 'you'}@{target.host}:{target.port}: {error}",
            hint=f"try: ssh -p {target.port} {target.user + '@' if target.user else ''}{target.host} true",
        ) from error
    transport = client.get_transport()
    if transport is not None:
        transport.set_keepalive(KEEPALIVE_S)
        transport.default_window_size = WINDOW_BYTES
    return client
