"""The oracle and the audit on this machine's Docker: a slice of what `rewind-bench audit` does."""

from __future__ import annotations

import pandas as pd
import pytest
from helpers import cells, run, the_run

from analysis import frames, verdicts
from bench import plugins

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

AUDIT = ("audit", "--testbed", "local")
UNPRIVILEGED = (
    *("--launcher-user", "unprivileged", "--channels", "core"),
    *("--set", "experiments.oracle.requests=20", "--set", 'experiments.oracle.workloads=["hello", "matmul"]'),
)
#: What root can do beyond: not all over again.
ROOT = (
    *(
        "--launcher-user",
        "root",
        "--channels",
        "image-file,deleted-image-file,action-folder,proxy-memory,user",
    ),
    *("--set", "experiments.oracle.requests=20", "--set", 'experiments.oracle.workloads=["hello"]'),
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
    """Launcher user -> what the command said, and its run."""
    found = {}
    for user, words in (("nobody", UNPRIVILEGED), ("root", ROOT)):
        out = tmp_path_factory.mktemp("runs")
        said = run(*AUDIT, *words, "--schemes", ",".join(ISOLATING), "--out", str(out))
        found[user] = said, the_run(out)
    return found


@pytest.fixture(scope="module")
def table(audited) -> pd.DataFrame:
    return pd.concat([verdicts.verdicts(frames.load(folder)) for _, folder in audited.values()])


def test_no_scheme_leaks_what_it_does_not_own_up_to(audited):
    for said, folder in audited.values():
        assert said.status == 0, said.text
        assert not cells(folder, "failed")


def test_every_channel_that_counts_leaks_without_isolation(table):
    control = table[table["scheme"] == "baseline"]
    assert set(control["launcher_user"]) == {"nobody", "root"}
    assert set(control["verdict"]) <= {"leaks", "refused"}
    leaking = control[(control["verdict"] == "leaks") & (control["launcher_user"] == "nobody")]
    assert leaking["channel"].nunique() >= 25
    assert {"memory", "process", "files"} <= set(leaking["family"])


def test_memory_of_isolating_schemes_is_closed_and_their_files_are_open(table):
    mine = table[table["scheme"].isin(ISOLATING) & table["counts"]]
    interpreter = mine[mine["family"] == "interpreter"]
    assert len(interpreter)
    assert set(interpreter["verdict"]) == {"clean"}
    files = mine[mine["channel"].isin(FILES_ARE_LEFT)]
    assert len(files) == len(FILES_ARE_LEFT) * len(ISOLATING)
    assert set(files["verdict"]) == {"leaks"}


def test_root_reaches_the_image_and_an_unprivileged_launcher_does_not(table):
    found = table[(table["channel"] == "image-file") & (table["scheme"] == "baseline")]
    verdict_of = dict(zip(found["launcher_user"], found["verdict"], strict=True))
    assert verdict_of == {"nobody": "refused", "root": "leaks"}


def test_nobody_reads_the_proxy_that_all_requests_go_through(table):
    """Not even a launcher that runs as root, as the proxy does."""
    assert set(table[table["channel"] == "proxy-memory"]["verdict"]) == {"refused"}


def test_the_oracle_fails_warm_reuse_and_passes_the_isolating_schemes(audited):
    for _, folder in audited.values():
        rows = frames.load(folder).oracle
        wrong = (rows["wrong"] != "").groupby([rows["scheme"], rows["workload"]]).sum()
        for (scheme, _), count in wrong.items():
            assert count == (19 if scheme == "baseline" else 0), wrong


def test_the_report_shows_both(audited):
    _, folder = audited["nobody"]
    html = (folder / "report.html").read_text()
    assert "Isolation audit: " in html
    assert "Oracle, wrong answers: baseline 38 of 40" in html
    assert (folder / "figures" / "audit.png").is_file()
    assert (folder / "figures" / "oracle.csv").is_file()
