"""The summary that the report prints and several figures draw: per scheme and workload."""

from __future__ import annotations

import pandas as pd

from analysis import observations as obs
from analysis.frames import Frames
from analysis.statistics import NOTHING, Estimate, Statistic, estimates, median, quantile, ratio

KEY = ["experiment", "params", "action", "scheme"]


def interval_columns(name: str, figure: Estimate) -> dict[str, float]:
    """An estimate as the columns NAME, NAME_low and NAME_high."""
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}


@obs.cached
def latency(frames: Frames) -> pd.DataFrame:
    """End-to-end latency from intended arrival, in steady state, one row per KEY.

    `n` counts scheduled requests without warm-up (their number is `warmup`), `failed` those without
    the right result. The median is over the others; p95 and p99 are over all, a failed one counting as
    never answered, and NaN where so few requests have no such tail or failed ones reach into it.
    `cold_share` is of measured activations.
    """
    records: list[dict[str, object]] = []
    for key, part in obs.groups(obs.requests(frames), *KEY):
        measured = part[~part["warmup"]]
        good = obs.sample(measured, "latency_s")
        tails = [_tail(len(good), len(measured), q) for q in (0.95, 0.99)]
        # Of one set of resamples; where there is no tail its place is the median's, and not shown.
        middle, *found = estimates(good, [median, *(tail or median for tail in tails)])
        tail, far_tail = (one if wanted else NOTHING for one, wanted in zip(found, tails, strict=True))
        served = measured["cold"].dropna()
        records.append(
            {
                **key,
                "n": len(measured),
                "failed": int((~measured["ok"]).sum()),
                "warmup": int(part["warmup"].sum()),
                **interval_columns("median_s", middle),
                **interval_columns("p95_s", tail),
                "p99_s": far_tail.value,
                "max_s": float(measured["latency_s"].max()),
                "containers": middle.containers,
                "boots": middle.boots,
                "cold_share": served.astype(float).mean(),
                "platform_bound": bool(part["platform_bound"].any()),
            }
        )
    return in_order(pd.DataFrame(records, columns=_LATENCY_COLUMNS), frames)


def _tail(answered: int, n: int, q: float) -> Statistic | None:
    """Which quantile of the right answers is that of all n requests, where the others never end."""
    rank = q * (n - 1)
    if n * (1 - q) < 1 or rank > answered - 1:
        return None
    return quantile(rank / (answered - 1))


_LATENCY_COLUMNS = [
    *KEY,
    *(
        "n",
        "failed",
        "warmup",
        "median_s",
        "median_s_low",
        "median_s_high",
        "p95_s",
        "p95_s_low",
        "p95_s_high",
    ),
    *("p99_s", "max_s", "containers", "boots", "cold_share", "platform_bound"),
]


@obs.cached
def relative(frames: Frames) -> pd.DataFrame:
    """Ratios of median latency to the reference schemes, one row per KEY and reference."""
    measured = obs.requests(frames)
    measured = measured[~measured["warmup"]]
    samples = {tuple(key.values()): obs.sample(part, "latency_s") for key, part in obs.groups(measured, *KEY)}
    records = []
    for key, mine in samples.items():
        for against in (obs.REFERENCE, obs.SECOND_REFERENCE):
            other = samples.get((*key[:-1], against))
            if other is None or (against != obs.REFERENCE and key[-1] == against):
                continue
            figure = ratio(mine, other, median) if len(mine) and len(other) else NOTHING
            if key[-1] == against and len(mine):
                figure = Estimate(1.0, 1.0, 1.0, figure.n, figure.containers, figure.boots)
            records.append(
                {**dict(zip(KEY, key, strict=True)), "against": against, **interval_columns("ratio", figure)}
            )
    columns = [*KEY, "against", "ratio", "ratio_low", "ratio_high"]
    return in_order(pd.DataFrame(records, columns=columns), frames)


def in_order(table: pd.DataFrame, frames: Frames) -> pd.DataFrame:
    """Rows sorted as figures show them: experiment, parameters, workload, scheme."""
    if not len(table):
        return table
    keys = pd.DataFrame(index=table.index)
    if "experiment" in table:
        keys["a"] = table["experiment"]
    if "params" in table:
        places = sorted(set(table["params"]), key=obs.params_order)
        keys["b"] = table["params"].map({p: i for i, p in enumerate(places)})
    for name, letter in (("action", "c"), ("workload", "d")):
        if name in table:
            order = frames.workloads(table[name])
            keys[letter] = table[name].map({w: i for i, w in enumerate(order)})
    order = frames.schemes(table["scheme"])
    keys["e"] = table["scheme"].map({s: i for i, s in enumerate(order)})
    return table.loc[keys.sort_values(list(keys.columns), kind="stable").index].reset_index(drop=True)
