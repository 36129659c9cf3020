"""The kernel's own memory self-tests, with the series and without: nothing may differ.

They are compiled from the kernel's source as it is and run by category, a boot for each on either kernel.
Which of them pass on a small emulated machine is not the question: what an unpatched kernel answers, a
patched one has to answer too.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.build.debian import Root, copy_out, hook, mmdebstrap
from bench.build.digest import digest_of
from bench.build.kernel import SOURCE_PACKAGE, UNPACK
from bench.build.step import Step, Work, ensure
from bench.kernel import selftests, splat, suite, tap
from bench.kernel.boot import Boot, Ending, Options, boot

#: Categories as in the kernel's run_vmtests.sh, with the same arguments; slow emulation gets smaller ones.
CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "mmap": ("map_fixed_noreplace", "map_populate"),
    "mremap": ("mremap_test", "mremap_dontunmap"),
    "mlock": ("mlock-random-test", "mlock2-tests"),
    "madv_populate": ("madv_populate",),
    "soft_dirty": ("soft-dirty",),
    "pagemap": ("pagemap_ioctl",),
    "userfaultfd": ("uffd-unit-tests", "uffd-stress anon 20 4", "uffd-stress shmem-private 20 4"),
    "ksm": (
        "ksm_tests -M -p 10",
        "ksm_tests -U",
        "ksm_tests -Z -p 10 -z 0",
        "ksm_tests -Z -p 10 -z 1",
        "ksm_tests -N -m 1",
        "ksm_tests -N -m 0",
        "ksm_functional_tests",
    ),
    "thp": ("khugepaged", "split_huge_page_test", "transhuge-stress -d 5"),
    "migration": ("migration",),
    "cow": ("cow",),
    "gup": ("gup_test -ct -F 0x1 0 19 0x1000", "gup_longterm"),
    "other": ("mkdirty", "mdwe_test", "droppable", "mseal_test", "mrelease_test", "memfd_secret"),
}
#: What the tests ask for beyond a usual kernel, with the series and without.
CONFIG = "CONFIG_DEBUG_FS=y\nCONFIG_GUP_TEST=y\n"
PROGRAMS_TAR = "mm.tar"
TOOLS = ("gcc", "libc6-dev", "libcap-dev", "libnuma-dev", "make", "rsync", "xz-utils", SOURCE_PACKAGE)
NAMES = tuple(dict.fromkeys(line.split()[0] for lines in CATEGORIES.values() for line in lines))
#: By hand, as the kernel's makefiles build all or nothing. KSFT_SKIP: khugepaged.c forgets its header.
COMPILE = rf"""
chroot "$1" sh -e -c "
cd /build && make -s headers && cd tools/testing/selftests/mm && sh check_config.sh gcc
for name in {" ".join(NAMES)}; do
  gcc -w -O2 -static -U_FORTIFY_SOURCE -DKSFT_SKIP=4 -I/build -isystem /build/usr/include \
    -isystem /build/tools/include/uapi -o \$name \$name.c vm_util.c thp_settings.c \
    \$(case \$name in uffd-*) echo uffd-common.c;; esac) -lrt -lpthread -lm -lcap -lnuma
done
tar -cf /{PROGRAMS_TAR} {" ".join(NAMES)}"
"""
#: Of a boot; four of them, when the kernels differ at first, stay within the 90 minutes of a piece.
LIMIT_S = 1300.0
#: Tests that need more processors than two.
CPUS: Mapping[str, int] = {"migration": 4}
#: Huge pages for the tests that need some.
CMDLINE = "hugepages=64"
#: Lines outside TAP that are results all the same.
RESULT = re.compile(r"^(?:Testing .*|.*\bpass=\d+.*|OK|Not OK|.*exit status \d+|killed by signal \d+)$")
#: What differs from boot to boot: processors, processes, addresses in reports; counts in the names of cases.
NUMBERS = re.compile(r"\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b")
COUNTS = re.compile(r"(Extra pages|extra thread faults) \d+(?: \([\d.]+%\))?")
#: Of a test that could not be started, or skips itself without a plan; its line is no result.
NOT_RUN = re.compile(r"exit status (?:4|127)$")
#: Once is enough: none of these may ever come of the series.
GRAVE = re.compile(r"only with the series: (?:kernel log: |machine )")


@dataclass(frozen=True)
class Answer:
    """What a kernel answered: one line for each result, and how long the boot took."""

    outcomes: frozenset[str]
    wall_s: float
    #: Cases that were run, skipped ones left out.
    results: int
    #: The machine came to its own end, and init to its last line.
    ended: bool


def programs_step(*, mirror: str = "") -> Step:
    """Products: `mm.tar`, the test programs of the kernel's source, static."""
    root = Root("apt", TOOLS)

    def build(work: Work) -> None:
        extra = [hook(UNPACK), hook(COMPILE), copy_out(f"/{PROGRAMS_TAR}", work.out / PROGRAMS_TAR)]
        mmdebstrap(work, root, "/dev/null", mirror=mirror, extra=extra)

    return Step("mm-selftests", build, {**root.inputs(mirror), "scripts": [UNPACK, COMPILE], "version": 1})


def key_of(category: str) -> str:
    """A digest of what a category runs, and how."""
    cpus = CPUS.get(category, 2)
    return digest_of([list(CATEGORIES[category]), COMPILE, CMDLINE, cpus, str(LIMIT_S)])


def compare(unpatched: Path, patched: Path, category: str, folder: Path) -> suite.Verdict:
    """One category on both kernels (bzImages), and once more where they differ or do not answer.

    Logs in `folder`, after which the verdict is named. Raises errors of QEMU.
    """

    def pair(suffix: str) -> tuple[Answer, Answer]:
        answers = [
            run(image, category, folder / f"{name}{suffix}")
            for name, image in (("without", unpatched), ("with", patched))
        ]
        return answers[0], answers[1]

    without, answer = pair("")
    found = problems(without, answer)
    if found:
        found = lasting(found, problems(*pair("-again")))
    passed = sum(line.endswith(": pass") for line in answer.outcomes)
    return suite.Verdict(folder.name, tuple(found), passed, (), without.wall_s + answer.wall_s)


def lasting(first: list[str], second: list[str]) -> list[str]:
    """What counts of two pairs of boots: what comes twice, and what is grave at once."""
    return [
        line
        for line in dict.fromkeys([*first, *second])
        if GRAVE.match(line) or (line in first and line in second)
    ]


def problems(without: Answer, patched: Answer) -> list[str]:
    """Differences, and what two kernels that agree may have in common but must not: no answer at all."""
    found = differences(without, patched)
    for name, answer in (("without", without), ("with", patched)):
        if not answer.ended:
            found.append(f"{name} the series: the boot did not come to its end")
        elif not answer.results:
            found.append(f"{name} the series: no test was run")
    return found


def differences(without: Answer, patched: Answer) -> list[str]:
    """What only one of two kernels answered."""
    gone = [f"only without the series: {line}" for line in sorted(without.outcomes - patched.outcomes)]
    return gone + [f"only with the series: {line}" for line in sorted(patched.outcomes - without.outcomes)]


def run(kernel: Path, category: str, folder: Path) -> Answer:
    """Boot once with the programs of a category; logs in `folder`."""
    initramfs = _initramfs(category, folder)
    options = Options(
        memory_mb=1536,
        cpus=CPUS.get(category, 2),
        disks_mb=selftests.DISKS_MB,
        two_nodes=True,
        cmdline=CMDLINE,
    )
    done = boot(kernel, initramfs, folder, options, limit_s=LIMIT_S)
    initramfs.unlink()
    return answer_of(done)


def answer_of(done: Boot) -> Answer:
    """What a boot came to."""
    read = tap.parse(done.results.splitlines())
    cases = [case for program in read.programs for case in program.cases]
    results = sum(
        case.verdict is not tap.Verdict.SKIP and not any(map(NOT_RUN.search, case.diagnostics))
        for case in cases
    )
    ended = read.complete and done.ending is Ending.POWERED_OFF
    return Answer(frozenset(outcomes(done)), done.wall_s, results, ended)


def _initramfs(category: str, folder: Path) -> Path:
    selftests.compile_programs((), folder)
    archive = selftests.with_init(folder, [f"/mm/{line}" for line in CATEGORIES[category]])
    with tarfile.open(ensure(programs_step()).file(PROGRAMS_TAR)) as tar:
        for name in {line.split()[0] for line in CATEGORIES[category]}:
            data = tar.extractfile(name)
            archive.file(f"/mm/{name}", data.read() if data else b"", 0o755)
    return archive.write(folder / "mm.cpio")


def outcomes(done: Boot) -> Iterator[str]:
    """One line for each result of a boot, and for what went wrong with the machine."""
    for program in tap.parse(done.results.splitlines()).programs:
        for number, case in enumerate(program.cases, start=1):  # many have the same name
            name = COUNTS.sub(r"\1", case.name)
            yield f"{program.command}: {number} {name}: {case.verdict.value}"
            yield from (f"{program.command}: {note}" for note in case.diagnostics if RESULT.match(note))
        yield from (f"{program.command}: {note}" for note in program.remarks if RESULT.match(note))
    for found in splat.find_splats(done.console):
        yield f"kernel log: {found.kind}: {NUMBERS.sub('#', found.headline)}"
    if done.ending is not Ending.POWERED_OFF:
        yield f"machine {done.ending.value}"
