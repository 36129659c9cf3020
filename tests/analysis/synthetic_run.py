"""A run with figures as software emulation gives them, written through the real store."""

import math
import random
from dataclasses import dataclass, field
from pathlib import Path

from bench import store
from bench.store.schemas import SCHEMA_VERSION

S = 1_000_000_000

#: run time of one request in seconds
WORKLOADS = {"hello": 0.006, "float": 0.35, "matmul": 0.9, "chameleon": 0.12, "pagerank": 2.2, "imgproc": 0.5}


@dataclass(frozen=True)
class SchemeModel:
    run_factor: float
    run_extra_s: float
    busy_after_s: float
    memory_mb: float
    fresh: bool = False


SCHEMES = {
    "baseline": SchemeModel(1.0, 0.0, 0.0004, 42),
    "cold": SchemeModel(1.06, 0.0, 0.0, 40, fresh=True),
    "fork": SchemeModel(1.25, 0.035, 0.012, 61),
    "snapshot": SchemeModel(1.04, 0.001, 0.12, 88),
    "rewind": SchemeModel(1.02, 0.0005, 0.004, 47),
    "rewind-mem": SchemeModel(1.02, 0.0005, 0.003, 46),
}


def manifest(name="quick-20260101", **changes):
    fields = {
        "schema_version": SCHEMA_VERSION,
        "run": name,
        "profile_name": "quick",
        "profile": {"size": "small", "testbed": "vm", "experiments": {"latency": {"requests": 40}}},
        "seed": 7,
        "clock": "wall",
        "git_revision": "0123456789abcdef0123456789abcdef01234567",
        "git_dirty": False,
        "builds": {"kernel": "9f2c1e" * 6, "guest": "77ab10" * 6, "runtime-baseline": "c0ffee" * 6},
        "packages": {"linux-source-6.12": "6.12.48-1", "python3.11": "3.11.2-6", "numpy": "2.4.6"},
        "testbed": store.TestbedFacts(
            kind="vm",
            accelerator="tcg",
            kernel="6.12.48-rewind",
            cpu="QEMU Virtual CPU",
            cpus=2,
            memory_bytes=6 * 2**30,
            thp="never",
            mitigations="off",
            docker="20.10.24",
            cgroup=2,
            boot_id="boot-0",
        ),
        "started": "2026-01-01T10:00:00Z",
        "ended": "2026-01-01T10:31:10Z",
        "stages": [
            store.Stage("build", 212.4),
            store.Stage("boot", 18.9),
            store.Stage("experiments", 1410.0),
        ],
        "planned_cells": 0,
        "failures": [],
    }
    return store.Manifest(**{**fields, **changes})


@dataclass
class Writer:
    """Writes cells of a plausible run."""

    run: store.RunFolder
    seed: int = 1
    failing: set = field(default_factory=set)  # (scheme, workload) with some failed requests
    bound: set = field(default_factory=set)
    clock_s: float = 1_767_261_600.0

    def load_cell(
        self, experiment, scheme, workload, params, repetition, *, count=24, rate=1.0, warmup=2, boot=0
    ):
        rng = random.Random(f"{self.seed}{experiment}{scheme}{workload}{params}{repetition}")
        model, base = SCHEMES[scheme], WORKLOADS
        key = store.CellKey.of(experiment, scheme, workload, params, repetition)
        requests, activations = [], []
        slow = math.exp(rng.gauss(0, 0.06))
        arrival = 0.0
        seen = set()
        for index in range(count):
            action = rng.choice(list(WORKLOADS)) if workload == "mix" else workload
            arrival += rng.expovariate(rate)
            slot = rng.randrange(3)
            container = f"{key}/{action}/{index if model.fresh else slot}"
            cold = model.fresh or container not in seen
            seen.add(container)
            run = (base[action] * model.run_factor + model.run_extra_s) * slow * math.exp(rng.gauss(0, 0.12))
            wait = 6.4 * math.exp(rng.gauss(0, 0.1)) if cold else rng.expovariate(1 / 0.01)
            init = 0.9 * math.exp(rng.gauss(0, 0.1)) if cold else 0.0
            if model.fresh or index >= warmup:
                wait = min(wait, 6.4) if model.fresh else min(wait, 0.05)
                cold, init = (cold, init) if model.fresh else (False, 0.0)
            pool = params.get("pool_mb")
            if pool and not model.fresh and rng.random() < 0.5 * 1024 / pool * model.memory_mb / 88:
                cold, wait, init = True, 6.1, 0.8
            ok = not ((scheme, workload) in self.failing and index % 8 == 5)
            end = arrival + 0.003 + wait + init + run
            if rng.random() < 0.01:
                end += 3 * run
            identity = f"{key}-{index}"
            requests.append(
                store.RequestRow(
                    index=index,
                    action=action,
                    warmup=index < warmup,
                    intended_ns=int(arrival * S),
                    actual_ns=int(arrival * S) + 40_000,
                    end_ns=int(end * S),
                    status=200 if ok else 502,
                    ok=ok,
                    error="" if ok else "action developer error",
                    activation_id=identity,
                )
            )
            activations.append(
                store.ActivationRow(
                    activation_id=identity,
                    action=action,
                    warmup=index < warmup,
                    container_id=container,
                    cold=cold,
                    wait_ns=int(wait * S),
                    init_ns=int(init * S),
                    run_ns=int(run * S),
                    busy_after_ns=None
                    if model.fresh
                    else int(model.busy_after_s * math.exp(rng.gauss(0, 0.2)) * S),
                    success=ok,
                )
            )
        restores = [
            store.RestoreRow(
                activation_id=row.activation_id,
                action=row.action,
                warmup=row.warmup,
                container_id=row.container_id,
                **_parts(row.busy_after_ns, rng),
            )
            for row in activations
            if row.busy_after_ns and experiment == "latency"
        ]
        self.record(
            key,
            {
                "requests": requests,
                "activations": activations,
                **({"restores": restores} if restores else {}),
            },
            boot_id=f"boot-{boot}",
            requests=count,
            platform_cpu_share=0.31 if (scheme, workload) in self.bound else 0.08,
        )

    def memory_cell(self, scheme, workload, repetition, *, containers=4, boot=0):
        rng = random.Random(f"{self.seed}{scheme}{workload}{repetition}")
        model = SCHEMES[scheme]
        size = (model.memory_mb + 12 * WORKLOADS[workload]) * 2**20
        rows, available = [], 4.2e9 + rng.gauss(0, 2e7)
        for alive in range(containers + 1):
            rows.append(store.MemoryRow(containers=alive, available_bytes=int(available)))
            if alive == containers:
                break
            pss = size * math.exp(rng.gauss(0, 0.02))
            available -= pss * 1.18 + rng.gauss(0, 1.5e6)
            rows.extend(
                store.MemoryRow(
                    containers=alive + 1,
                    container_id=f"{scheme}-{workload}-{repetition}-{alive}",
                    requests=served,
                    pss_bytes=int(pss * (0.9 if served < 10 else 1.0)),
                    private_bytes=int(pss * 0.8),
                    rss_bytes=int(pss * 1.35),
                    cgroup_current_bytes=int(pss * 1.1),
                )
                for served in (1, 10)
            )
        self.record(
            store.CellKey.of("memory", scheme, workload, {}, repetition),
            {"memory": rows},
            boot_id=f"boot-{boot}",
        )

    def oracle_cell(self, scheme, workload, *, count=4, boot=0):
        control = scheme == "baseline"
        rows = [
            store.OracleRow(
                index=index,
                container_id=f"oracle-{scheme}-{workload}",
                wrong="result.x is 2, must be 1" if control and index else "",
                altered="result,globals,new file" if control and index else "new file" * (index > 0),
            )
            for index in range(count)
        ]
        self.record(
            store.CellKey.of("oracle", scheme, workload, {}, 0), {"oracle": rows}, boot_id=f"boot-{boot}"
        )

    def audit_cell(self, scheme, family, channels, *, repetition=0, boot=0):
        """`channels`: name -> other values of all its rows, or of ("plant"/"look") rows of that kind."""
        rows = []
        for channel, facts in channels.items():
            for step, kind in enumerate(("plant", "look", "look")):
                common = {k: v for k, v in facts.items() if k not in ("plant", "look")}
                rows.append(
                    store.AuditRow(
                        **{
                            "family": family,
                            "channel": channel,
                            "summary": f"what {channel} is.",
                            "launcher_user": "nobody",
                            "claim": "none" if scheme == "baseline" else "isolated",
                            "step": step,
                            "kind": kind,
                            "further": step - 1 if step else None,
                            "container_id": f"audit-{scheme}",
                            **common,
                            **facts.get(kind, {}),
                        }
                    )
                )
        key = store.CellKey.of("audit", scheme, "probe", {"family": family}, repetition)
        self.record(key, {"audit": rows}, boot_id=f"boot-{boot}")

    def failed_cell(self, experiment, scheme, workload, error, hint):
        self.record(
            store.CellKey.of(experiment, scheme, workload, {}, 0), {}, status="failed", error=error, hint=hint
        )

    def record(self, key, tables, **facts):
        begun, self.clock_s = self.clock_s, self.clock_s + 10
        self.run.record(store.CellRecord.of(key, started_s=begun, ended_s=begun + 9, **facts), tables)


def _parts(busy_ns, rng):
    """A restore of this length as a launcher tells of it."""
    shares = {"rendezvous_ns": 0.05, "vma_ns": 0.1, "pages_ns": 0.3, "regions_ns": 0.0}
    shares |= {"files_ns": 0.05, "flush_ns": 0.1}
    parts = {name: int(busy_ns * share * math.exp(rng.gauss(0, 0.1))) for name, share in shares.items()}
    return {
        **parts,
        "rewind_ns": sum(parts.values()) + 5_000,
        "file_reset_ns": busy_ns // 4,
        "checkpoint_ns": 900_000,
        "file_checkpoint_ns": 300_000,
        "copied": 50 + rng.randrange(20),
        "log_bytes": 64 << 12,
    }


def write(
    path: Path, *, schemes=tuple(SCHEMES), workloads=tuple(WORKLOADS), repetitions=3, boots=1, count=24
):
    """A whole run with every experiment, some failures and one platform-bound cell."""
    facts = manifest(path.name, schemes=list(schemes), workloads=list(workloads))
    with store.RunFolder.create(path, facts) as run:
        writer = Writer(run, failing={("fork", "imgproc")}, bound={("rewind", "hello")})
        for scheme in schemes:
            for repetition in range(repetitions):
                boot = repetition % boots
                for workload in workloads:
                    writer.load_cell(
                        "latency", scheme, workload, {"rate": 0.2}, repetition, count=count, boot=boot
                    )
                    writer.load_cell(
                        "saturation", scheme, workload, {}, repetition, count=count // 2, rate=1e3, boot=boot
                    )
                    writer.load_cell(
                        "cold_start", scheme, workload, {}, repetition, count=4, rate=0.1, warmup=4, boot=boot
                    )
                    writer.memory_cell(scheme, workload, repetition, boot=boot)
                for pool in (1024, 2560, 4096):
                    writer.load_cell(
                        "throughput",
                        scheme,
                        "mix",
                        {"pool_mb": pool},
                        repetition,
                        count=60,
                        rate=4,
                        boot=boot,
                    )
        for scheme in schemes:
            writer.oracle_cell(scheme, workloads[0])
            leaking = {"look": {"found": "in the variable"}}
            writer.audit_cell(
                scheme,
                "memory",
                {"module-global": leaking if scheme == "baseline" else {}, "freed-block": leaking},
            )
        writer.failed_cell(
            "latency", "snapshot", "vidproc", "container did not start", "look at logs/snapshot.log"
        )
        run.manifest.planned_cells = len(run.done()) + 1
        run.write_manifest()
