"""What the audit's rows mean: each verdict, and what makes an audit fail."""

from __future__ import annotations

import io

import pytest
import synthetic_run
from rich.console import Console

from analysis import frames, verdicts
from analysis.figures import audit as figure
from bench import store
from bench.audit import command
from bench.errors import IsolationError

LEAK = {"look": {"found": "in the variable"}}
CLEAN: dict = {}


def audited(tmp_path, **schemes):
    """A run whose schemes have these channels."""
    names = [name.replace("_", "-") for name in schemes]
    with store.RunFolder.create(tmp_path, synthetic_run.manifest(schemes=names)) as run:
        writer = synthetic_run.Writer(run)
        for name, channels in zip(names, schemes.values(), strict=True):
            writer.audit_cell(name, "memory", channels)
    return frames.load(tmp_path)


def verdict_of(run, scheme, channel):
    table = verdicts.verdicts(run)
    (row,) = table[(table["scheme"] == scheme) & (table["channel"] == channel)].to_dict("records")
    return row


@pytest.mark.parametrize(
    ("facts", "verdict", "evidence"),
    [
        (CLEAN, "clean", ""),
        (LEAK, "leaks", "in the variable (after 0, 1 further)"),
        ({"look": {"failed": "OSError: too many open files"}}, "leaks", "the request failed: OSError"),
        ({"plant": {"refused": "EPERM"}}, "refused", "EPERM"),
        ({"plant": {"retired": "the launcher ended"}}, "retired", "the launcher ended"),
        ({"plant": {"container_id": "another"}}, "retired", "another container"),
        ({"plant": {"failed": "Traceback\nKeyError: 'x'"}}, "broken", "KeyError: 'x'"),
    ],
)
def test_verdicts(tmp_path, facts, verdict, evidence):
    row = verdict_of(audited(tmp_path, baseline={"one": LEAK}, mine={"one": facts}), "mine", "one")
    assert row["verdict"] == verdict
    assert evidence in row["evidence"]


def test_a_leak_that_only_a_late_look_sees_is_one(tmp_path):
    with store.RunFolder.create(tmp_path, synthetic_run.manifest()) as run:
        rows = [
            store.AuditRow(
                family="memory",
                channel="one",
                summary="",
                launcher_user="root",
                claim="isolated",
                step=step,
                kind=kind,
                further=further,
                found=found,
                container_id="c",
            )
            for step, kind, further, found in (
                (0, "plant", None, ""),
                (1, "look", 0, ""),
                (2, "filler", None, ""),
                (3, "look", 2, "there"),
            )
        ]
        key = store.CellKey.of("audit", "mine", "probe", {"family": "memory"}, 0)
        synthetic_run.Writer(run).record(key, {"audit": rows})
    assert verdict_of(frames.load(tmp_path), "mine", "one")["evidence"] == "there (after 2 further)"


def test_an_undeclared_leak_fails_the_audit_and_a_declared_one_does_not(tmp_path):
    channels = {"one": LEAK, "two": {**LEAK, "claim": "left"}}
    run = audited(tmp_path, baseline={"one": LEAK, "two": LEAK}, mine=channels)
    assert [str(p) for p in verdicts.problems(run)] == [
        "mine / one (nobody): leaks: in the variable (after 0, 1 further)"
    ]
    counted = verdicts.counts(run).set_index("scheme").loc["mine"]
    assert (counted["leaks"], counted["left"]) == (1, 1)


@pytest.mark.parametrize("facts", [CLEAN, {"plant": {"refused": "EPERM"}}, {"plant": {"failed": "boom"}}])
def test_a_probe_that_finds_nothing_without_isolation_is_broken(tmp_path, facts):
    (said,) = verdicts.problems(audited(tmp_path, baseline={"one": facts}, mine={"one": CLEAN}))
    assert "broken probe" in said.text


def test_a_refusal_that_the_channel_names_is_accepted_but_the_channel_does_not_count(tmp_path):
    refused = {"expected_refusal": "EPERM", "plant": {"refused": "EPERM"}}
    run = audited(tmp_path, baseline={"one": refused, "two": LEAK}, mine={"one": CLEAN, "two": CLEAN})
    assert verdicts.problems(run) == []
    assert not verdict_of(run, "mine", "one")["counts"]
    assert verdict_of(run, "mine", "two")["counts"]


def test_without_the_control_nothing_is_proved(tmp_path):
    (said,) = verdicts.problems(audited(tmp_path, mine={"one": CLEAN}))
    assert "control" in said.text


def test_a_container_of_its_own_for_each_request_is_clean_not_retired(tmp_path):
    with store.RunFolder.create(tmp_path, synthetic_run.manifest()) as run:
        rows = [
            store.AuditRow(
                family="memory",
                channel="one",
                summary="",
                launcher_user="root",
                claim="isolated",
                step=step,
                kind="look" if step else "plant",
                further=step - 1 if step else None,
                container_id=f"c{step}",
            )
            for step in range(3)
        ]
        key = store.CellKey.of("audit", "cold", "probe", {"family": "memory"}, 0)
        synthetic_run.Writer(run).record(key, {"audit": rows})
    assert verdict_of(frames.load(tmp_path), "cold", "one")["verdict"] == "clean"


def test_the_worst_of_repetitions_counts(tmp_path):
    with store.RunFolder.create(tmp_path, synthetic_run.manifest()) as run:
        writer = synthetic_run.Writer(run)
        for repetition, facts in enumerate((CLEAN, LEAK, CLEAN)):
            writer.audit_cell("mine", "memory", {"one": facts}, repetition=repetition)
    assert verdict_of(frames.load(tmp_path), "mine", "one")["verdict"] == "leaks"


def test_a_claim_that_is_out_of_date_is_noted(tmp_path):
    run = audited(tmp_path, baseline={"one": LEAK}, mine={"one": {"claim": "left"}})
    assert verdicts.problems(run) == []
    (note,) = verdicts.stale_claims(run)
    assert (note.scheme, note.channel) == ("mine", "one")


def test_the_matrix_draws_every_verdict_and_says_the_leaks(tmp_path):
    channels = {
        "one": LEAK,
        "two": {**LEAK, "claim": "left"},
        "three": CLEAN,
        "four": {"plant": {"refused": "EPERM"}},
    }
    run = audited(tmp_path, baseline=dict.fromkeys(channels, LEAK), mine=channels)
    table = figure.table(run)
    assert set(table["shown"]) == {"leaks", "left", "clean", "refused"}
    assert "mine leaks 2 of 4 channels (1 of them without saying so)" in figure.finding(table)
    assert figure.draw(table, run).axes


def test_the_command_tells_the_leaks_and_has_an_exit_status_of_its_own(tmp_path):
    audited(tmp_path, baseline={"one": LEAK}, mine={"one": LEAK, "two": CLEAN})
    with pytest.raises(IsolationError, match=r"mine / one \(nobody\): leaks") as caught:
        command.fail(command.judge(tmp_path, Console(file=io.StringIO())))
    assert caught.value.exit_status == 60


def test_the_command_counts_verdicts_and_is_content_without_problems(tmp_path):
    audited(tmp_path, baseline={"one": LEAK}, mine={"one": CLEAN})
    said = io.StringIO()
    command.fail(command.judge(tmp_path, Console(file=said, width=100)))
    assert "baseline" in said.getvalue()
    assert "mine" in said.getvalue()
