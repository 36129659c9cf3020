"""Every patch of the series as the tree's own scripts/checkpatch.pl sees it: an error is a problem.

The tree is Debian's source with the patches before applied, in the toolchain's root, which has perl. Warnings
are left beside the verdict, in checkpatch.txt.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.build.debian import Root, copy_in, copy_out, hook, mmdebstrap
from bench.build.kernel import UNPACK, bring_patches, series_of, toolchain_options, toolchain_step
from bench.build.step import Step, Work, ensure
from bench.errors import InfrastructureError
from bench.kernel import suite
from bench.kernel.each import PATCHES, problems_of

NAME = "checkpatch"
RESULTS = "checkpatch.txt"
#: Run in the source tree: checkpatch.sh PATCHES. A line "ok NAME" for each patch, or "failed NAME: ..." for
#: each error, and then its warnings. The status of checkpatch.pl is 1 for either.
SCRIPT = r"""
export LC_ALL=C
for patch in $1/*.patch; do
  name=${patch##*/}
  said=$(perl scripts/checkpatch.pl --terse --show-types --no-summary --color=never "$patch" 2>&1)
  status=$?
  if [ $status -gt 1 ]; then
    echo "failed $name: checkpatch.pl ended with status $status: $(printf '%s\n' "$said" | tail -n 1)"
  elif printf '%s\n' "$said" | grep -q ': ERROR:'; then
    printf '%s\n' "$said" | sed -n "/: ERROR:/s|^$1/|failed |p"
  else
    echo "ok $name"
  fi
  printf '%s\n' "$said" | sed -n "/: WARNING:/s|^$1/||p"
  patch -p1 --batch --fuzz=0 --silent --input="$patch" || { echo "failed $name: does not apply"; break; }
done
"""


def checkpatch_step(*, patches: Path = PATCHES, mirror: str = "") -> Step:
    """A step that checks every patch; product: `RESULTS`, what the script said."""
    series = series_of(patches)

    def build(work: Work) -> None:
        script = work.scratch / "checkpatch.sh"
        script.write_text(SCRIPT)
        options = [
            *toolchain_options(work),
            *bring_patches(work, series),
            copy_in(script, "/checkpatch.sh"),
            hook(UNPACK),
            hook(f'chroot "$1" sh -c "cd /build && sh /checkpatch.sh /patches" > "$1/{RESULTS}"'),
            copy_out(f"/{RESULTS}", work.out / RESULTS),
        ]
        mmdebstrap(work, Root("custom"), "/dev/null", extra=options)

    return Step(
        NAME,
        build,
        {"patches": list(series), "scripts": [UNPACK, SCRIPT], "version": 1},
        {"toolchain": toolchain_step(mirror=mirror)},
    )


def verdict(folder: Path, *, patches: Path = PATCHES) -> suite.Verdict:
    """Check the series; `folder` receives what was said. A check that could not be made is a problem too."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        results = ensure(checkpatch_step(patches=patches)).file(RESULTS).read_text()
    except InfrastructureError as error:
        return suite.Verdict(NAME, (error.message,), 0, (), 0.0)
    (folder / RESULTS).write_text(results)
    passed = sum(line.startswith("ok ") for line in results.splitlines())
    return suite.Verdict(NAME, tuple(problems_of(results)), passed, (), 0.0)
