"""What the kernel's calls cost, in instructions: sweeps of the reference process in a bare boot.

Under the instruction clock guest time advances one nanosecond per instruction, so a figure is a count,
the same on every host and in every run of the same kernel; `same_figures` is the proof of it.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import process
from bench.build.initramfs import Initramfs
from bench.build.step import ensure
from bench.errors import KernelPanicError, RunIncompleteError
from bench.kernel import selftests, splat
from bench.kernel.boot import Boot, Ending, Options, boot
from bench.kernel.python_tree import TREE_TAR, python_tree_step
from bench.paths import KERNEL

SOURCES = KERNEL / "bench"
AXES = ("baselines", "dirty", "mapped", "regions", "threads", "descriptors", "ablation", "requests")
GENERATIONS = 6
MEMORY_MB = 2048
PYTHON = "/usr/bin/python3.11"
#: Nothing may differ from run to run.
ENVIRONMENT = (
    "PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 "
    "GLIBC_TUNABLES=glibc.pthread.rseq=0 LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:/lib/x86_64-linux-gnu"
)
COMPILE_S = 60.0

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Costs:
    """All lines that the reference process printed, in order, and the boot they came from."""

    records: tuple[Record, ...]
    boot: Boot

    def axis(self, name: str) -> list[Record]:
        """The records of one axis."""
        return [record for record in self.records if record.get("axis") == name and "error" not in record]

    @property
    def errors(self) -> list[str]:
        """What the kernel refused or did not know."""
        return [f"{record.get('axis')}: {record['error']}" for record in self.records if "error" in record]


def make_initramfs(
    folder: Path,
    *,
    axes: Sequence[str] = AXES,
    generations: int = GENERATIONS,
    checkpoint_flags: int = 0,
    rewind_flags: int = 0,
) -> Path:
    """The initramfs of a cost boot: the reference process once for each axis."""
    arguments = f"{generations} {checkpoint_flags:#x} {rewind_flags:#x}"
    commands = [f"{python_command()} /bench/reference_process.py {axis} {arguments}" for axis in axes]
    return python_initramfs(folder, ["reference_process.py"], commands)


def python_command(blas_threads: int = 1) -> str:
    """The words by which init starts Python: permitted, and with nothing left to chance."""
    threads = f"OPENBLAS_NUM_THREADS={blas_threads} OMP_NUM_THREADS={blas_threads}"
    return f"{threads} {ENVIRONMENT} /bench/permit {PYTHON} -B"


def python_initramfs(
    folder: Path, scripts: Sequence[str], commands: Sequence[str], *, trees: Sequence[Path] = ()
) -> Path:
    """An initramfs with init, Python, numpy, more `trees` (tar), and scripts of kernel/bench to run."""
    selftests.compile_programs((), folder)
    archive = selftests.with_init(folder, commands)
    permit, library = folder / "permit", folder / "clockwork.so"
    gcc = ["gcc", "-O2", "-Wall"]
    process.run([*gcc, "-static", "-o", str(permit), str(SOURCES / "permit.c")], timeout_s=COMPILE_S)
    process.run(
        [*gcc, "-shared", "-fPIC", "-o", str(library), str(SOURCES / "clockwork.c")], timeout_s=COMPILE_S
    )
    for tree in (ensure(python_tree_step()).file(TREE_TAR), *trees):
        _add_tar(archive, tree)
    archive.file("/bench/permit", permit.read_bytes(), 0o755)
    archive.file("/bench/clockwork.so", library.read_bytes(), 0o755)
    for script in scripts:
        archive.file(f"/bench/{script}", (SOURCES / script).read_bytes())
    return archive.write(folder / "python.cpio")


def measure(kernel: Path, initramfs: Path, folder: Path, *, limit_s: float = 5400.0) -> Costs:
    """One boot under the instruction clock.

    `quiet` keeps plain warnings from the log: any other word there shifts figures by a nanosecond.

    Raises KernelPanicError when the kernel died or complained, and RunIncompleteError when the boot did not
    come to its end.
    """
    options = Options(memory_mb=MEMORY_MB, cpus=1, clock="instructions", cmdline="quiet")
    return costs_of(boot(kernel, initramfs, folder, options, limit_s=limit_s))


def costs_of(done: Boot) -> Costs:
    """What a boot measured; raises as `measure` does."""
    folder = done.folder
    splats = splat.find_splats(done.console)
    if done.ending is Ending.DIED or splats:
        raise KernelPanicError(
            "\n  ".join(["the kernel was in trouble while its cost was measured", *map(str, splats)]),
            hint=f"see {folder}",
        )
    costs = Costs(tuple(read_records(done.results)), done)
    if done.ending is not Ending.POWERED_OFF or "# all programs ended" not in done.results:
        raise RunIncompleteError("the cost boot did not come to its end", hint=f"see {folder}")
    return costs


def read_records(text: str) -> list[Record]:
    """The JSON lines of a results channel; a program that failed becomes an error record."""
    records: list[Record] = []
    axis = ""
    for line in text.splitlines():
        if line.startswith("# program begins: "):
            words = line.split()
            axis = words[words.index("/bench/reference_process.py") + 1] if len(words) > 5 else ""
        elif line.startswith("# program ends: ") and "status 0 signal 0" not in line:
            records.append({"axis": axis, "error": line.removeprefix("# ")})
        elif line.startswith("{"):
            records.append(json.loads(line))
    return records


def same_figures(one: Costs, other: Costs) -> list[str]:
    """Where two boots differ; empty when they agree to the nanosecond."""
    if len(one.records) != len(other.records):
        return [f"{len(one.records)} records, and {len(other.records)}"]
    return [
        f"{a.get('axis')} {a.get('kind', '')} {key}: {a.get(key)} and {b.get(key)}"
        for a, b in zip(one.records, other.records, strict=True)
        for key in sorted({*a, *b})
        if a.get(key) != b.get(key)
    ]


def _add_tar(archive: Initramfs, path: Path) -> None:
    with tarfile.open(path) as tar:
        for member in tar:
            name = "/" + member.name
            if member.isdir():
                archive.folder(name)
            elif member.issym():
                archive.link(name, member.linkname)
            elif member.islnk():
                data = tar.extractfile(tar.getmember(member.linkname))
                archive.file(name, data.read() if data else b"", member.mode & 0o777)
            elif member.isreg():
                data = tar.extractfile(member)
                archive.file(name, data.read() if data else b"", member.mode & 0o777)
