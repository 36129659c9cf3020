"""The oracle and the audit on this machine's Docker: a slice of what `rewind-bench audit` does."""

from __future__ import annotations

import pandas as pd
import pytest
from helpers import cells, run

from analysis import frames, verdicts
from bench import plugins

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

SLICE = (
    *("audit", "--testbed", "local", "--channels", "core"),
    *("--set", "experiments.oracle.requests=20", "--set", 'experiments.oracle.workloads=["hello", "matmul"]'),
)
#: `cold` needs a container for each request: too long for here, see the profile.
ISOLATING = [
    scheme.name
    for scheme in plugins.schemes().values()
    if scheme.spec.isolates and not scheme.spec.needs_kernel and not scheme.spec.fresh_container
]
FILES_ARE_LEFT = {"new-file", "changed-file", "deleted-snapshot-file", "file-to-symlink", "dev-shm"}


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Both launcher users: (what was said, the runs)."""
    out = tmp_path_factory.mktemp("runs")
    said = run(*SLICE, "--schemes", ",".join(ISOLATING), "--out", str(out))
    return said, sorted(out.iterdir())


@pytest.fixture(scope="module")
def table(audited) -> pd.DataFrame:
    return pd.concat([verdicts.verdicts(frames.load(folder)) for folder in audited[1]])


def test_no_scheme_leaks_what_it_does_not_own_up_to(audited):
    said, folders = audited
    assert said.status == 0, said.text
    assert len(folders) == 2
    assert not any(cells(folder, "failed") for folder in folders)
    for folder in folders:
        assert verdicts.problems(frames.load(folder)) == []


def test_every_channel_that_counts_leaks_without_isolation(table):
    control = table[table["scheme"] == "baseline"]
    assert set(control["launcher_user"]) == {"nobody", "root"}
    assert set(control["verdict"]) <= {"leaks", "refused"}
    leaking = control[control["verdict"] == "leaks"].groupby("launcher_user")["channel"].nunique()
    assert (leaking >= 25).all(), leaking
    assert {"memory", "process", "files"} <= set(control[control["verdict"] == "leaks"]["family"])


def test_memory_of_isolating_schemes_is_closed_and_their_files_are_open(table):
    mine = table[table["scheme"].isin(ISOLATING) & table["counts"]]
    interpreter = mine[mine["family"] == "interpreter"]
    assert len(interpreter)
    assert set(interpreter["verdict"]) == {"clean"}
    files = mine[mine["channel"].isin(FILES_ARE_LEFT)]
    assert len(files) == 2 * len(FILES_ARE_LEFT) * len(ISOLATING)
    assert set(files["verdict"]) == {"leaks"}


def test_root_reaches_the_image_and_an_unprivileged_launcher_does_not(table):
    found = table[(table["channel"] == "image-file") & (table["scheme"] == "baseline")]
    assert dict(zip(found["launcher_user"], found["verdict"], strict=True)) == {
        "nobody": "refused",
        "root": "leaks",
    }


def test_the_oracle_fails_warm_reuse_and_passes_the_isolating_schemes(audited):
    for folder in audited[1]:
        rows = frames.load(folder).oracle
        wrong = (rows["wrong"] != "").groupby([rows["scheme"], rows["workload"]]).sum()
        for (scheme, _), count in wrong.items():
            assert count == (19 if scheme == "baseline" else 0), wrong


def test_the_report_shows_both(audited):
    html = (audited[1][0] / "report.html").read_text()
    assert "Isolation audit: " in html
    assert "Oracle, wrong answers: baseline 38 of 40" in html
    assert (audited[1][0] / "figures" / "audit.png").is_file()
    assert (audited[1][0] / "figures" / "oracle.csv").is_file()
