"""Parts of containers killed at random moments under load, and what must hold all the same.

Several clients send numbered requests to one action; meanwhile a part (launcher, manager, proxy, or the
file reset service) is killed with signal 9 at seeded random moments, each time of a container that has
lost none yet. The action computes from state that it destroys, and tells what it finds of earlier
requests; every answer is checked.
"""

from __future__ import annotations

import itertools
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from docker.errors import APIError, NotFound

from bench.hosts.base import Host
from bench.paths import RUNTIMES
from bench.platforms.activations import Activation
from bench.platforms.base import Endpoint
from bench.platforms.client import Client
from bench.platforms.deploy import deploy
from bench.platforms.embedded import texts
from bench.platforms.settings import PlatformSettings

FILTER = RUNTIMES / "common" / "seccomp.json"
MEMORY_MB = 128
#: More clients than containers, so that a request often waits for a container's restore.
CONTAINERS, CLIENTS = 3, 4
#: Between two kills there are up to this many requests.
APART = 30
POLL_S = 0.005
END_S = 120
PAGE = 200
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
SUM = sum(range(1 << 17))
CODE = """
import os
import numpy as np
table = np.arange(1 << 17)
kept, count = [], 0
def main(args):
    global count
    n = args["n"]
    print("begun", n, flush=True)
    count += 1
    kept.append(n)
    found = {"n": n, "sum": int(table.sum()) + n, "kept": kept, "count": count}
    if args["files"]:
        found["files"] = [x for at in ("/tmp", "/dev/shm") for x in os.listdir(at) if x.startswith("left-")]
    table[:] = -1
    for at in ("/tmp", "/dev/shm"):
        open(f"{at}/left-{n}", "w").write("x" * 10000)
    return found
"""
#: What a client may be told when a part died (runtimes/README.md).
TOLD = re.compile(
    "command exited( before the request.*)?"
    f"|{re.escape(texts.ABNORMAL_RUN)}|{re.escape(texts.ABNORMAL_INIT)}"
    r"|cannot start action: (Command exited abruptly during initialization\.|The action did not).*"
)
DEVELOPER = "action developer error"


@dataclass(frozen=True)
class Bed:
    """A platform on a testbed, with room for CONTAINERS."""

    host: Host
    endpoint: Endpoint


@contextmanager
def bed(host: Host, platform_image: str | None, socket_service: str = "") -> Iterator[Bed]:
    """The embedded platform there."""
    settings = PlatformSettings(
        user_memory_mb=CONTAINERS * MEMORY_MB, seccomp_profile=FILTER, socket_service=socket_service
    )
    with deploy(host, settings, platform_image, "tests") as deployed:
        yield Bed(host, deployed.endpoint)


@dataclass
class Trial:
    """One scheme under load, and what of it was killed."""

    bed: Bed
    image: str
    chance: random.Random
    #: About the time from one request to the next in a container.
    cycle_s: float
    action: str
    #: Whether the scheme puts files back.
    files: bool = False
    #: Container -> what stands for it in the testbed's /proc while anything of it is there.
    seen: dict[str, list[str]] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)

    def run(self, part: str, kills: int) -> list[Activation]:
        """Kill that part of as many containers; the records of all requests, checked."""
        with self.bed.endpoint.client() as client:
            client.put_action(self.action, code=CODE, image=self.image, memory_mb=MEMORY_MB)
            before = client.stats().counters
            with self._load() as answers:
                while len(self.killed) < kills:
                    self._strike(client, part, answers)
            self._await_rest(client)
            after = client.stats().counters
            records = self._records(client)
            client.delete_action(self.action)
            self._await_nothing(client)
        counted = {key: after[key] - before.get(key, 0) for key in after}
        self._check(answers, records, counted)
        return records

    @contextmanager
    def _load(self) -> Iterator[list[Activation]]:
        """Requests during the block; the answers are there at its end."""
        answers: list[Activation] = []
        numbers, stop = itertools.count(), threading.Event()

        def send() -> None:
            with self.bed.endpoint.client() as client:
                while not stop.is_set():
                    value = {"n": next(numbers), "files": self.files}
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
        enough = len(answers) + self.chance.randint(0, APART)
        until(lambda: len(answers) >= enough, "requests are answered")
        time.sleep(self.chance.uniform(0, self.cycle_s))
        there = [c.id for c in client.stats().containers if c.action == self.action]
        whole = [c for c in there if c not in self.killed]
        for one in whole:
            self._note(one)
        if whole and self._kill(chosen := self.chance.choice(whole), part):
            self.killed.append(chosen)

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
        until(lambda: not self._look(words), "nothing is left in /proc", lambda: self._look(words))

    def _look(self, words: bytes) -> str:
        """Lines of processes and mounts that have one of these words."""
        return self.bed.host.run(LOOK, stdin=words, check=False).text

    def _check(self, answers: list[Activation], records: list[Activation], counted: dict[str, int]) -> None:
        """Every answer is right, or a failure that a kill explains; and all is counted."""
        assert {a.id for a in answers} == {r.id for r in records}
        assert len(answers) == len(records)
        failed = [a for a in answers if not a.success]
        for answer in answers:
            self._check_answer(answer)
        assert len({a.container_id for a in failed}) == len(failed)  # no container fails two
        assert counted.get(DEVELOPER, 0) == len(failed)
        assert counted["success"] == len(answers) - len(failed)
        assert counted.get("resent", 0) == sum(r.resent for r in records)
        assert {r.resent for r in records} <= {0, 1}
        removed = {k: n for k, n in counted.items() if k.startswith("removed: ") and n}
        assert sum(removed.values()) == len(self.killed), removed
        for record in records:
            self._check_record(record)

    def _check_answer(self, answer: Activation) -> None:
        if answer.success:
            n = answer.result["n"]
            right = {"n": n, "sum": SUM + n, "kept": [n], "count": 1}
            assert answer.result == (right | {"files": []} if self.files else right)
            return
        assert answer.status == DEVELOPER, answer
        assert TOLD.fullmatch(answer.result["error"]), answer
        assert answer.container_id in self.killed, answer

    def _check_record(self, record: Activation) -> None:
        """A request begins once, wherever it was sent; a container that failed afterwards was killed."""
        begun = [line.split(" ", 2)[2] for line in record.logs if " begun " in line]
        assert len(begun) <= 1, record
        if record.success:
            assert begun == [f"begun {record.result['n']}"], record
            assert (record.busy_after_ns is not None) != bool(record.retired), record  # restored, or given up
        assert not record.retired or record.container_id in self.killed, record


def summary(records: list[Activation]) -> str:
    """For a reader of the test's output."""
    failed = sum(not record.success for record in records)
    again = sum(record.resent for record in records)
    retired = sum(bool(record.retired) for record in records)
    return f"{len(records)} requests: {failed} failed, {again} sent again; {retired} restores failed"


def until(holds: Callable[[], bool], what: str, instead: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + END_S
    while not holds():
        assert time.monotonic() < deadline, f"not in {END_S} s: {what}; {instead()}"
        time.sleep(POLL_S)
