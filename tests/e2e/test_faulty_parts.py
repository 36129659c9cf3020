"""Schemes and images that do not work: named at once, and nothing that was finished is lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers import cells, copied_checkout, run, the_run
from test_local_run import ours

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

SMALL = (
    *("run", "--testbed", "local", "--profile", "smoke", "--workloads", "hello"),
    *("--set", "experiments.latency.requests=5"),
)
GARBAGE = '''\
"""Answers what is no JSON."""

import os

from actionloop.channel import REPLY_FD
from actionloop.loop import Scheme


class Garbage(Scheme):
    def serve(self):
        self.exchange.requests.read()
        os.write(REPLY_FD, b"\\\\x00 no JSON at all\\n")


SCHEME = Garbage()
'''


@pytest.fixture
def checkout(tmp_path):
    return copied_checkout(tmp_path / "checkout")


def add_scheme(checkout: Path, name: str, launcher: str) -> None:
    folder = checkout / "runtimes" / name
    folder.mkdir()
    (folder / "scheme.toml").write_text('summary = "mine"\nisolates = false\n')
    (folder / "launcher.py").write_text(launcher)


def failures(folder: Path) -> str:
    return "\n".join(cell["error"] for cell in cells(folder, "failed").values())


def test_a_scheme_that_answers_garbage_costs_its_own_cells(checkout, tmp_path):
    add_scheme(checkout, "garbage", GARBAGE)
    out = tmp_path / "runs"
    said = run(*SMALL, "--schemes", "baseline,garbage", "--out", str(out), cwd=checkout)
    folder = the_run(out)
    assert said.status == 50, said.text
    assert "Traceback" not in said.text
    assert {cell["scheme"] for cell in cells(folder).values()} == {"baseline"}
    assert {cell["scheme"] for cell in cells(folder, "failed").values()} == {"garbage"}
    assert "did not return a dictionary" in failures(folder)
    assert "garbage" in (folder / "report.html").read_text()
    assert ours() == []


def test_a_launcher_that_does_not_start_says_why(checkout, tmp_path):
    add_scheme(checkout, "broken", "raise SystemExit('no licence for this machine')\n")
    out = tmp_path / "runs"
    said = run(*SMALL, "--schemes", "baseline,broken", "--out", str(out), cwd=checkout)
    folder = the_run(out)
    assert said.status == 50, said.text
    assert "cannot start" in failures(folder) or "did not initialize" in failures(folder)
    assert {cell["scheme"] for cell in cells(folder).values()} == {"baseline"}
    assert ours() == []


def test_an_image_that_does_not_start_is_named(checkout, tmp_path):
    """As of somebody who works on the proxy."""
    source = checkout / "runtimes" / "proxy" / "main.go"
    source.write_text(source.read_text().replace("func main() {\n", "func main() {\n\tos.Exit(3)\n", 1))
    out = tmp_path / "runs"
    said = run(*SMALL, "--schemes", "baseline", "--out", str(out), cwd=checkout)
    folder = the_run(out)
    assert said.status == 50, said.text
    assert "Traceback" not in said.text
    # Which of OpenWhisk's two texts: it may end before or after its address is asked for.
    assert re.search("did not initialize|Failed to provision resources", failures(folder)), failures(folder)
    (log,) = (folder / "logs").glob("platform-*.log")
    assert re.search("ended at once|container ended", log.read_text())
    assert "logs/platform-" in failures(folder)
    assert "--resume" in said.text
    assert ours() == []
