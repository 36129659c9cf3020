"""Content-addressed build steps: same inputs, same product, built once.

A step is a name, its inputs, the steps it needs, and a function that fills a folder:

    def build(work: Work) -> None:
        work.run(["tar", "-C", str(work.products["root"].path), "-cf", str(work.out / "image.tar"), "."])

    image = Step("image", build, inputs={"recipe": RECIPE, "files": FOLDER}, needs={"root": root_step})
    product = ensure(image)          # product.path / "image.tar"

The digest covers inputs and the digests of what is needed, not the function: name what the function
does (command lines, package lists, a version number) among the inputs.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bench import process
from bench.build.cache import META_NAME, Slot, locked, remove_tree, size_bytes
from bench.build.digest import Input, digest_of
from bench.errors import BenchError, BuildError, CommandError, DiskFullError
from bench.process import DISK_FULL_MARKS, Completed, disk_full_is_typed

FULL_BELOW_BYTES = 8 << 20
LOG_TAIL_BYTES = 64 << 10
POLL_S = 0.25


@dataclass(frozen=True)
class Product:
    """A finished product: a folder in the cache, never to be written to."""

    name: str
    #: SHA-256 (hex) of all inputs.
    digest: str
    path: Path

    def file(self, name: str) -> Path:
        """A file of the product; BuildError when it has none of that name."""
        path = self.path / name
        if not path.exists():
            raise BuildError(
                f"product {self.path} has no '{name}'",
                hint="the cache was damaged: remove that folder and build again",
            )
        return path


@dataclass(frozen=True)
class Work:
    """What a build function gets."""

    #: An empty folder that becomes the product.
    out: Path
    #: An empty folder that is removed afterwards.
    scratch: Path
    #: Everything the build prints goes here.
    log: Path
    #: The finished products of `Step.needs` and `Step.tools`, by the same keys.
    products: Mapping[str, Product]
    #: Set when the whole build is to end (interrupt, or another step failed).
    stop: threading.Event

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = 3600.0,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Run a command with its output in the log.

        Raises BuildError (failed, out of time, or stopped), DiskFullError, MissingToolError.
        """
        with self.log.open("ab") as log:
            log.write(f"+ {' '.join(argv)}\n".encode())
        # A build must not outlive a killed harness; the thread that waits here keeps it alive.
        child = process.start(["setpriv", "--pdeathsig", "TERM", "--", *argv], log=self.log, env=env, cwd=cwd)
        try:
            status = self._wait(child, argv, time.monotonic() + timeout_s)
        except BaseException:
            process.kill_group(child)
            raise
        if status != 0:
            self._failed(argv, status)

    def say(self, text: str) -> None:
        """Write a line to the log."""
        with self.log.open("a") as log:
            log.write(text.rstrip("\n") + "\n")

    def _wait(self, child: subprocess.Popen[bytes], argv: Sequence[str], deadline: float) -> int:
        while True:
            try:
                return child.wait(POLL_S)
            except subprocess.TimeoutExpired:
                if self.stop.is_set():
                    raise BuildError("stopped", hint="run again to continue") from None
                if time.monotonic() > deadline:
                    raise BuildError(f"'{argv[0]}' ran out of time", hint=f"see {self.log}") from None

    def _failed(self, argv: Sequence[str], status: int) -> None:
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - LOG_TAIL_BYTES))
            tail = log.read()
        full = shutil.disk_usage(self.out).free < FULL_BELOW_BYTES
        if full or any(mark in tail for mark in DISK_FULL_MARKS):
            raise DiskFullError(
                f"disk full while running '{argv[0]}' (log: {self.log})",
                hint=f"free some space on the device of {self.out.parent.parent.parent} "
                "('rewind-bench clean --cache' drops the build cache) and run again",
            )
        raise process_error(Completed(tuple(argv), status, tail, b""), self.log)


def process_error(done: Completed, log: Path) -> BuildError:
    """The error for a failed command of a build: its last lines, and where the rest is."""
    lines = done.stdout.decode(errors="replace").strip().splitlines()[-12:]
    words = "\n  ".join(lines)
    return BuildError(f"'{done.argv[0]}' ended with status {done.status}:\n  {words}", hint=f"see {log}")


@dataclass(frozen=True, eq=False)
class Step:
    """One build step; see the module's docstring."""

    name: str
    build: Callable[[Work], None]
    inputs: Mapping[str, Input] = field(default_factory=dict)
    needs: Mapping[str, Step] = field(default_factory=dict)
    #: Steps used while building that leave no trace in the product, and so are not in the digest.
    tools: Mapping[str, Step] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over the name, all inputs and the digests of all needs."""
        needs = {key: step.digest for key, step in self.needs.items()}
        return digest_of({"name": self.name, "inputs": self.inputs, "needs": needs})

    @property
    def slot(self) -> Slot:
        """The step's places in the cache."""
        return Slot(self.name, self.digest)

    @property
    def product(self) -> Product:
        """The product as it will be called, built or not."""
        return Product(self.name, self.digest, self.slot.path)

    @property
    def before(self) -> Mapping[str, Step]:
        """All that must be there before this step can be built."""
        return {**self.needs, **self.tools}

    def cached(self) -> bool:
        """True when the product exists."""
        return self.slot.finished()


def ensure(step: Step, *, stop: threading.Event | None = None) -> Product:
    """Return a step's product, building it and what it needs where the cache has none.

    Raises BuildError (with the log's path in the hint), DiskFullError, MissingToolError.
    """
    products = {}
    if not step.cached():  # a finished product outlives what it was made from
        products = {key: ensure(need, stop=stop) for key, need in step.before.items()}
    return build(step, products, stop or threading.Event())


def build(step: Step, products: Mapping[str, Product], stop: threading.Event) -> Product:
    """Build one step whose needs are given, unless the cache has its product."""
    slot = step.slot
    if not slot.finished():
        with disk_full_is_typed(f"building {step.name}"), locked(slot.key):
            if not slot.finished():  # another builder may have been faster
                _build_locked(step, products, stop)
    slot.touch()
    return step.product


def _build_locked(step: Step, products: Mapping[str, Product], stop: threading.Event) -> None:
    slot = step.slot
    remove_tree(slot.temporary)  # the lock is ours: whoever left it is dead
    out, scratch = slot.temporary / "out", slot.temporary / "scratch"
    out.mkdir(parents=True)
    scratch.mkdir()
    slot.log.parent.mkdir(parents=True, exist_ok=True)
    slot.log.write_bytes(b"")
    start = time.monotonic()
    try:
        step.build(Work(out, scratch, slot.log, products, stop))
        _finish(step, out, time.monotonic() - start)
    except CommandError as error:
        raise BuildError(f"step '{step.name}' failed: {error}", hint=f"see {slot.log}") from error
    except BuildError as error:
        raise BuildError(f"step '{step.name}' failed: {error}", hint=error.hint) from error
    except (BenchError, OSError):
        raise  # already says what to do, or is given a type by our caller
    finally:
        remove_tree(slot.temporary)


def _finish(step: Step, out: Path, seconds: float) -> None:
    meta = {
        "name": step.name,
        "digest": step.digest,
        "build_s": round(seconds, 1),
        "size_bytes": size_bytes(out),
        "built_unix_s": int(time.time()),
        "inputs": {key: digest_of(value) for key, value in sorted(step.inputs.items())},
        "needs": {key: need.digest for key, need in sorted(step.needs.items())},
    }
    (out / META_NAME).write_text(json.dumps(meta, indent=1) + "\n")
    target = step.slot.path
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_tree(target)  # a damaged one, without its meta file
    out.rename(target)
