"""What the audit's rows say: a verdict per scheme and channel, and what is not as it must be."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis import observations as obs
from analysis.frames import Frames

KEY = ["launcher_user", "family", "channel", "scheme"]
COLUMNS = [*KEY, "verdict", "evidence", "claim", "counts", "requests", "summary"]
LEAKS, CLEAN, REFUSED, RETIRED, BROKEN = "leaks", "clean", "refused", "retired", "broken"
#: From the worst on: what a channel is called whose repetitions differ.
WORST_FIRST = (BROKEN, LEAKS, RETIRED, REFUSED, CLEAN)


@dataclass(frozen=True)
class Problem:
    """Something that makes the audit fail, in one line."""

    launcher_user: str
    scheme: str
    channel: str
    text: str

    def __str__(self) -> str:
        return f"{self.scheme} / {self.channel} ({self.launcher_user}): {self.text}"


@obs.cached
def verdicts(frames: Frames) -> pd.DataFrame:
    """One row per launcher user, channel and scheme, in figure order.

    `verdict` is "leaks" (with the evidence, and after how many further requests), "clean", "refused" (with
    the errno), "retired" (with the reason) or "broken" (the probe); `claim` what the scheme says; `counts`
    whether the channel leaks without isolation, without which its other verdicts prove nothing.
    """
    rows = frames.audit
    records: list[dict[str, object]] = []
    for key, part in obs.groups(rows, *KEY):
        runs = [_verdict(run) for _, run in part.groupby("repetition")]
        verdict, evidence = min(runs, key=lambda run: WORST_FIRST.index(run[0]))
        first = part.iloc[0]
        facts = {"claim": first["claim"], "summary": first["summary"], "requests": len(part)}
        records.append({**key, "verdict": verdict, "evidence": evidence, **facts})
    table = pd.DataFrame(records, columns=[name for name in COLUMNS if name != "counts"])
    control = table[(table["claim"] == "none") & (table["verdict"] == LEAKS)]
    known = set(zip(control["launcher_user"], control["channel"], strict=True))
    pairs = zip(table["launcher_user"], table["channel"], strict=True)
    table["counts"] = [pair in known for pair in pairs]
    place = {name: i for i, name in enumerate(frames.schemes(table["scheme"]))}
    order = table.assign(place=table["scheme"].map(place)).sort_values(
        ["launcher_user", "family", "channel", "place"], kind="stable"
    )
    return order[COLUMNS].reset_index(drop=True)


def _verdict(rows: pd.DataFrame) -> tuple[str, str]:
    """Verdict and evidence of one plant with its looks."""
    rows = rows.sort_values("step")
    plant, looks = rows.iloc[0], rows[rows["kind"] == "look"]
    if plant["refused"]:
        return REFUSED, str(plant["refused"])
    if plant["failed"]:
        return BROKEN, f"the planting failed: {_last_line(plant['failed'])}"
    bad = looks[(looks["found"] != "") | (looks["failed"] != "")]
    if len(bad):
        after = ", ".join(str(n) for n in bad["further"])
        first = bad.iloc[0]
        said = first["found"] or f"the request failed: {_last_line(first['failed'])}"
        return LEAKS, f"{said} (after {after} further)"
    told = rows.loc[rows["retired"] != "", "retired"]
    if len(told):
        return RETIRED, str(told.iloc[0])
    places = set(rows["container_id"])
    if 1 < len(places) < len(rows):  # one for each request is a scheme's own way
        return RETIRED, "another container served the next request"
    return CLEAN, ""


def _last_line(text: object) -> str:
    return str(text).strip().splitlines()[-1][:200]


def expected_refusals(frames: Frames) -> set[tuple[str, str, str]]:
    """(launcher user, channel, errno) that a channel allows without isolation."""
    rows = frames.audit[frames.audit["expected_refusal"] != ""]
    return set(zip(rows["launcher_user"], rows["channel"], rows["expected_refusal"], strict=True))


def problems(frames: Frames) -> list[Problem]:
    """Undeclared leaks, broken probes, and channels without a positive control."""
    table, allowed = verdicts(frames), expected_refusals(frames)
    found: list[Problem] = []
    for row in table.to_dict("records"):
        user, scheme, channel = (str(row[name]) for name in ("launcher_user", "scheme", "channel"))
        verdict, evidence = str(row["verdict"]), str(row["evidence"])
        text = ""
        if verdict == BROKEN:
            text = f"broken probe: {evidence}"
        elif row["claim"] == "isolated" and verdict == LEAKS:
            text = f"leaks: {evidence}"
        elif row["claim"] == "none" and verdict == REFUSED and (user, channel, evidence) not in allowed:
            text = f"broken probe: refused with {evidence}, which it does not allow"
        elif row["claim"] == "none" and verdict in (CLEAN, RETIRED):
            text = f"broken probe: {verdict} where nothing isolates"
        if text:
            found.append(Problem(user, scheme, channel, text))
    for key, part in obs.groups(table, "launcher_user"):
        if "none" not in set(part["claim"]):
            text = "no scheme without isolation took part as control"
            found.append(Problem(key["launcher_user"], "-", "all", text))
    return found


def stale_claims(frames: Frames) -> list[Problem]:
    """Channels that a scheme says it leaves, though the audit finds them isolated: no fault, but a note."""
    table = verdicts(frames)
    rows = table[(table["claim"] == "left") & table["verdict"].isin([CLEAN]) & table["counts"]]
    text = "said to be left, yet clean"
    return [
        Problem(str(row["launcher_user"]), str(row["scheme"]), str(row["channel"]), text)
        for row in rows.to_dict("records")
    ]


def counts(frames: Frames) -> pd.DataFrame:
    """Channels per launcher user, scheme and verdict; `left` are leaks that the scheme owns up to."""
    table = verdicts(frames)
    records: list[dict[str, object]] = []
    for user in sorted(set(table["launcher_user"])):
        for scheme in frames.schemes(table["scheme"]):
            mine = table[(table["launcher_user"] == user) & (table["scheme"] == scheme)]
            told = {name: int((mine["verdict"] == name).sum()) for name in WORST_FIRST}
            left = int(((mine["verdict"] == LEAKS) & (mine["claim"] == "left")).sum())
            told |= {LEAKS: told[LEAKS] - left, "left": left}
            records.append({"launcher_user": user, "scheme": scheme, **told})
    columns = ["launcher_user", "scheme", LEAKS, "left", RETIRED, REFUSED, CLEAN, BROKEN]
    return pd.DataFrame(records, columns=columns)
