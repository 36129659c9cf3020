"""A slice of `nox -s audit` in the guest: what rewind leaves, beside what warm reuse does."""

from __future__ import annotations

import pytest
from helpers import cells, run, the_run

from analysis import frames, verdicts
from bench.audit import channels

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1500)]

FAMILIES = ("memory", "process", "files")
CHANNELS = [info.name for info in channels.select(["core"]) if info.family in FAMILIES]
AUDIT = (
    *("audit", "--schemes", "rewind", "--launcher-user", "unprivileged", "--channels", ",".join(CHANNELS)),
    *("--set", "experiments.oracle.requests=20", "--set", 'experiments.oracle.workloads=["hello"]'),
)


def test_rewind_leaves_nothing_that_warm_reuse_leaves(tmp_path):
    said = run(*AUDIT, "--out", str(tmp_path))
    assert said.status == 0, said.text
    folder = the_run(tmp_path)
    assert not cells(folder, "failed")
    table = verdicts.verdicts(frames.load(folder))
    counting = table[table["counts"]]
    assert counting["channel"].nunique() >= 25
    assert set(counting["family"]) == set(FAMILIES)
    mine = counting[counting["scheme"] == "rewind"]
    assert set(mine["channel"]) == set(counting["channel"])
    leaking = mine[(mine["verdict"] == "leaks") & (mine["claim"] == "isolated")]
    assert leaking.empty, leaking[["channel", "evidence"]]
    oracle = frames.load(folder).oracle
    wrong = (oracle["wrong"] != "").groupby(oracle["scheme"]).sum()
    assert wrong.to_dict() == {"baseline": 19, "rewind": 0}
