"""The probes outside of any container: they find what reuse of a process leaves, and never themselves."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from bench import plugins
from bench.audit import channels
from bench.audit.pack import probe_code
from bench.audit.probe.base import LENGTH, Secret, name_of
from bench.experiments.audit import Audit

#: Harmless to the machine that runs the tests, whoever runs them.
FAMILIES = ("memory", "interpreter", "descriptors")
#: Another machine may have it so.
NOT_EVERYWHERE = {"huge-page", "locale", "redirected-stderr"}
SERVE = """
import json, sys
sys.path.insert(0, sys.argv[1])
sys.argv[0] = sys.argv[1]
import importlib.util
spec = importlib.util.spec_from_file_location("main__", sys.argv[1] + "/__main__.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
for line in sys.stdin:
    print(json.dumps(module.main(json.loads(line))), flush=True)
"""


def serve(folder: Path, requests: list[dict]) -> list[dict]:
    """One process answers all requests."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", SERVE, str(folder)],
        input="\n".join(map(json.dumps, requests)),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def calls(info: channels.ChannelInfo, seed: str) -> tuple[dict, dict]:
    secret = Secret.of_seed(seed)
    plant = {"kind": "plant", "channel": info.name, "seed": seed}
    if info.in_request:
        plant["text"] = secret.text
    look = {"kind": "look", "channel": info.name, "masked": secret.masked, "name": name_of(seed)}
    return plant, look


@pytest.fixture
def unpack(tmp_path):
    def go(group):
        with zipfile.ZipFile(BytesIO(probe_code(group))) as archive:
            archive.extractall(tmp_path)
        return tmp_path

    return go


@pytest.mark.parametrize("family", FAMILIES)
def test_probes_find_what_is_left_in_a_process_and_nothing_in_a_fresh_one(unpack, family):
    group = [i for i in channels.select([family]) if not i.carries and i.name not in NOT_EVERYWHERE]
    shared = [info for info in group if not info.alone]
    folder = unpack(shared)
    pairs = [calls(info, f"seed {info.name}") for info in shared]
    answers = serve(folder, [call for pair in pairs for call in pair])
    for info, plant, look in zip(shared, answers[::2], answers[1::2], strict=True):
        assert "carry" in plant, (info.name, plant)
        assert look.get("found"), (info.name, look)
    fresh = serve(folder, [look for _, look in pairs])
    assert [(i.name, a) for i, a in zip(shared, fresh, strict=True) if a.get("found") or "failed" in a] == []


def test_a_look_does_not_find_its_own_question(unpack):
    """Even a scan of all memory must not take what it was asked for what it looks for."""
    (info,) = channels.select(["request-data"])
    _, look = calls(info, "never planted")
    assert serve(unpack([info]), [look, {"kind": "filler"}, look])[2] == {"found": ""}


def test_a_secret_is_found_in_any_surroundings_but_not_in_its_mask():
    secret = Secret.of_seed("a")
    asked = Secret(bytes.fromhex(secret.masked), secret.name)
    assert len(secret.plain) == LENGTH
    assert asked.seen_in(b"rwbSrwbS" + secret.plain + b"rwbS")
    assert not asked.seen_in(Secret.of_seed("b").plain + secret.masked.encode() + secret.name.encode())
    with pytest.raises(ValueError, match="does not know"):
        _ = asked.plain


def test_every_channel_says_what_it_is_and_the_core_covers_memory_process_and_files():
    found = channels.channels()
    assert len(found) >= 100
    for info in found.values():
        assert info.summary.endswith("."), info.name
    core = channels.select([channels.CORE])
    assert len(core) >= 25
    assert {"memory", "process", "files"} <= {info.family for info in core}


def test_groups_give_harmful_channels_a_container_of_their_own():
    groups = channels.groups(channels.select(["process"]))
    assert all(len(group) == 1 for group in groups[1:])
    assert not any(info.alone for info in groups[0])


def test_what_schemes_say_they_leave_are_names_of_the_audit():
    for scheme in plugins.schemes().values():
        assert channels.unknown(scheme.spec.leaves) == [], scheme.name


def test_an_unknown_channel_in_a_profile_is_refused():
    with pytest.raises(ValueError, match="no-such-thing"):
        Audit(channels=("memory", "no-such-thing"))
