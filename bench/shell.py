"""`rewind-bench vm`: the guest of a profile, booted, with a shell in it."""

from __future__ import annotations

from collections.abc import Sequence

from bench import process, provision
from bench.config import Resolved
from bench.errors import ConfigError
from bench.hosts.vm import VmHost
from bench.progress import Progress


def open_shell(resolved: Resolved, command: Sequence[str], progress: Progress) -> int:
    """Boot, log in on this terminal (or run `command`), end the guest; returns the exit status."""
    if resolved.profile.testbed.kind != "vm":
        raise ConfigError(["testbed.kind: the profile's testbed is not a guest"], hint="use ssh itself")
    products = provision.build_products(resolved, progress)
    with provision.booted(resolved, products, "shell", progress) as host:
        return process.interactive([*ssh_words(host), *command])


def ssh_words(host: VmHost) -> list[str]:
    """The ssh command line that logs into a running guest."""
    target = host.vm.target
    options = {
        "IdentitiesOnly": "yes",
        "LogLevel": "ERROR",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
    }
    words = ["ssh", "-p", str(target.port), "-i", str(target.key)]
    for key, value in options.items():
        words += ["-o", f"{key}={value}"]
    return [*words, f"{target.user}@{target.host}"]
