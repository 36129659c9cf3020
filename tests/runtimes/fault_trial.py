"""Parts of containers killed at random moments under load, and what must hold all the same.

Several clients send numbered requests to one action; meanwhile a part (launcher, manager, proxy, or the
file reset service) is killed with signal 9 at seeded random moments, each time of a container that has
lost none yet. The action computes from state that it destroys, and tells what it finds of earlier
requests; every answer is checked.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from docker.errors import APIError, NotFound
from docker.models.containers import Container
from fault_checks import CODE, Checks

from bench.hosts.base import Host
from bench.paths import RUNTIMES
from bench.platforms.activations import Activation
from bench.platforms.base import Endpoint
from bench.platforms.client import Client
from bench.platforms.deploy import deploy
from bench.platforms.embedded.config import Limits
from bench.platforms.services import FOLDER
from bench.platforms.settings import PlatformSettings

FILTER = RUNTIMES / "common" / "seccomp.json"
MEMORY_MB = 128
#: More clients than containers, so that a request often waits for a container's restore.
CONTAINERS, CLIENTS = 3, 4
POLL_S = 0.005
#: Under emulation a container takes half a minute to its first answer.
END_S = 240
PAGE = 200
#: A request may wait for a service that comes back, and then for a new container, on a busy emulated machine.
BLOCKING_MS = 300_000
#: Finds a process by its command line (not itself), the oldest one.
KILL = """
for line in $(grep -la "$1" /proc/[0-9]*/cmdline); do
    pid=${line#/proc/}; pid=${pid%/*}
    [ -n "$found" ] && [ "$found" -lt "$pid" ] || found=$pid
done
[ -n "$found" ] && kill -9 "$found"
"""
LOOK = ["sh", "-c", "exec grep -sa -f - /proc/[0-9]*/cgroup /proc/[0-9]*/cmdline /proc/mounts"]
PATTERNS = {"launcher": "[s]tart\\.py", "manager": "[s]cheme/snapshotter"}


@dataclass(frozen=True)
class Bed:
    """A platform on a testbed, with room for CONTAINERS."""

    host: Host
    endpoint: Endpoint


@contextmanager
def bed(host: Host, platform_image: str | None, socket_service: str = "") -> Iterator[Bed]:
    """The embedded platform there."""
    settings = PlatformSettings(
        user_memory_mb=CONTAINERS * MEMORY_MB,
        seccomp_profile=FILTER,
        socket_service=socket_service,
        limits=Limits(blocking_ms=BLOCKING_MS),
    )
    with deploy(host, settings, platform_image, "tests") as deployed:
        yield Bed(host, deployed.endpoint)


@dataclass
class Trial:
    """One scheme under load, and what of it was killed."""

    bed: Bed
    image: str
    chance: random.Random
    action: str
    #: Between two kills there are up to this many requests, and part of one:
    apart: int
    #: about the time from one request to the next in a container.
    cycle_s: float
    #: The file reset service's container, where the scheme puts files back.
    service: Container | None = None
    #: Container -> what stands for it in the testbed's /proc while anything of it is there.
    seen: dict[str, list[str]] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)

    def run(self, parts: Sequence[str]) -> list[Activation]:
        """Kill these parts, one after the other; the records of all requests, checked."""
        with self.bed.endpoint.client() as client:
            client.put_action(self.action, code=CODE, image=self.image, memory_mb=MEMORY_MB)
            before = client.stats().counters
            with self._load() as answers:
                for part in parts:
                    self._strike(client, part, answers)
            self._await_rest(client)
            after = client.stats().counters
            records = self._records(client)
            client.delete_action(self.action)
            self._await_nothing(client)
        counted = {key: after[key] - before.get(key, 0) for key in after}
        Checks(self.killed, self.service is not None).all(answers, records, counted)
        return records

    @contextmanager
    def _load(self) -> Iterator[list[Activation]]:
        """Requests during the block; the answers are there at its end."""
        answers: list[Activation] = []
        numbers, stop = itertools.count(), threading.Event()

        def send() -> None:
            where, limit_s = self.bed.endpoint, BLOCKING_MS / 1000 + 15
            with Client(where.api_host, where.auth, timeout_s=limit_s) as client:
                while not stop.is_set():
                    value = {"n": next(numbers), "files": self.service is not None}
                    answers.append(client.invoke(self.action, value))

        with ThreadPoolExecutor(CLIENTS) as threads:
            sent = [threads.submit(send) for _ in range(CLIENTS)]
            try:
                yield answers
            finally:
                stop.set()
        for one in sent:
            one.result()

    def _strike(self, client: Client, part: str, answers: list[Activation]) -> None:
        """After some more requests, anywhere in the next one, kill the part in a whole container."""
        while True:
            self._await_more(answers)
            there = [c.id for c in client.stats().containers if c.action == self.action]
            for one in there:
                self._note(one)
            if part == "service":
                return self._kill_service(client)
            whole = [c for c in there if c not in self.killed]
            if whole and self._kill(chosen := self.chance.choice(whole), part):
                return self.killed.append(chosen)

    def _await_more(self, answers: list[Activation]) -> None:
        enough = len(answers) + self.chance.randint(0, self.apart)
        until(lambda: len(answers) >= enough, "requests are answered")
        time.sleep(self.chance.uniform(0, self.cycle_s))

    def _kill_service(self, client: Client) -> None:
        """While no container is being made: that cannot be done without it. Docker starts it again."""
        until(lambda: [c.served > 0 for c in client.stats().containers] == [True] * CONTAINERS, "all serve")
        pid = self._service_pid()
        self.bed.host.run(["kill", "-9", str(pid)])
        until(lambda: self._service_pid() not in (0, pid), "the service is started again")

    def _service_pid(self) -> int:
        self.service.reload()
        return int(self.service.attrs["State"]["Pid"])

    def _note(self, container: str) -> None:
        with suppress(NotFound):
            if container not in self.seen:
                about = self.bed.host.docker().containers.get(container).attrs
                overlay = about.get("GraphDriver", {}).get("Data") or {}
                ports = about["NetworkSettings"]["Ports"].get("8080/tcp") or ()
                places = [overlay.get("MergedDir"), about["NetworkSettings"]["SandboxKey"]]
                bound = [f"docker-proxy.*-host-port.{port['HostPort']}.-" for port in ports]
                self.seen[container] = [container, *filter(None, places), *bound]

    def _kill(self, container: str, part: str) -> bool:
        """Whether it was there to be killed."""
        try:
            found = self.bed.host.docker().containers.get(container)
            if part == "proxy":
                found.kill()
                return True
            command = ["sh", "-c", KILL, "kill", PATTERNS[part]]
            return bool(found.exec_run(command, user="root").exit_code == 0)
        except APIError:  # it has ended
            return False

    def _await_rest(self, client: Client) -> None:
        """Until no container is in use, and the killed ones are gone."""
        until(lambda: all(c.phase == "idle" for c in client.stats().containers), "the pool is at rest")
        until(lambda: not set(self.killed) & self._there(client), "killed containers are gone")

    def _there(self, client: Client) -> set[str]:
        """Containers in the pool, or in Docker."""
        made = self.bed.host.docker().api.containers(all=True, quiet=True)
        return {c.id for c in client.stats().containers} | {c["Id"] for c in made}

    def _records(self, client: Client) -> list[Activation]:
        found: list[Activation] = []
        while page := client.activations(name=self.action, limit=PAGE, skip=len(found)):
            found += page
        return found

    def _await_nothing(self, client: Client) -> None:
        """Until nothing of any container is left on the testbed."""
        until(lambda: not set(self.seen) & self._there(client), "all containers are gone")
        words = "\n".join(word for known in self.seen.values() for word in known).encode()
        until(lambda: not self._look(words), "nothing is left", lambda: self._look(words))

    def _look(self, words: bytes) -> str:
        """Lines of processes and mounts that have one of these words; files of the service."""
        found = self.bed.host.run(LOOK, stdin=words, check=False).text
        if self.service:
            kept = [f"{FOLDER}/{name}" for name in ("own", "records")]
            found += self.bed.host.run(["find", *kept, "-mindepth", "1"]).text
        return found


def until(holds: Callable[[], bool], what: str, instead: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + END_S
    while not holds():
        assert time.monotonic() < deadline, f"not in {END_S} s: {what}; {instead()}"
        time.sleep(POLL_S)
