"""The build-time check of judged structures (mm/rewind/reviewed.sh of the series), on a small tree."""

import os
import subprocess

import pytest

from bench.build.kernel import series_of
from bench.paths import KERNEL

SCRIPT = "mm/rewind/reviewed.sh"
HEADER = "include/linux/mm_types.h"
TEXT = """\
struct mm_struct;

/* Of a process. */
struct mm_struct {
	unsigned long flags;	/* see below */
#ifdef CONFIG_SWAP
	int swapped;
#endif
	struct {
		int inner;
	} part;
} __randomize_layout;

struct other {
	int unjudged;
};
"""


class Tree:
    """A kernel tree with the script, one header, and a list of what was judged in it."""

    def __init__(self, folder):
        self.folder, self.list = folder, folder / "reviewed"
        # Not of a repository that the folder may be in.
        env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
        for patch in series_of(KERNEL / "patches"):
            argv = ["git", "apply", f"--include={SCRIPT}", str(patch)]
            subprocess.run(argv, cwd=folder, env=env, check=True)

    def run(self, *more):
        argv = ["sh", str(self.folder / SCRIPT), str(self.folder), str(self.list), *more]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    def write(self, text, header=HEADER):
        path = self.folder / header
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def judge(self, name="mm_struct", header=HEADER):
        """Write the list anew, as after a decision."""
        self.list.write_text(f"# What was judged.\n\n{name} {header} 0\n")
        self.list.write_text(self.run("--print").stdout)


@pytest.fixture
def tree(tmp_path):
    made = Tree(tmp_path)
    made.write(TEXT)
    made.judge()
    return made


def test_a_structure_passes_as_it_was_judged(tree):
    assert tree.run().returncode == 0
    comment, blank, line = tree.list.read_text().splitlines()
    assert (comment, blank) == ("# What was judged.", "")
    assert line.startswith(f"mm_struct {HEADER} ")
    assert not line.endswith(" 0")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("	int swapped;\n", "	int swapped;\n	int later;\n"),
        ("		int inner;\n", "		int inner;\n		int later;\n"),
        ("	int swapped;\n", "	long swapped;\n"),
        ("	int swapped;\n", ""),
        ("struct mm_struct {", "struct mm_struct_v2 {"),
    ],
)
def test_a_structure_that_has_changed_stops_the_build(tree, old, new):
    tree.write(TEXT.replace(old, new))
    done = tree.run()
    assert done.returncode == 1
    assert done.stderr.startswith(f"{HEADER}: ")
    assert "mm_struct has changed" in done.stderr
    tree.judge()
    assert tree.run().returncode == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("	/* see below */", ""),
        (
            "	int swapped;\n",
            "	/*\n	 * Pages ** that are\n	 * elsewhere.\n	 */\n	int swapped;\n",
        ),
        ("	int swapped;\n", "	int	swapped;	/* elsewhere */\n\n"),
        ("CONFIG_SWAP", "CONFIG_SWAP_TOO"),
        ("	int unjudged;\n", "	int unjudged;\n	int later;\n"),
    ],
)
def test_a_comment_blanks_and_other_structures_do_not(tree, old, new):
    assert old in TEXT
    tree.write(TEXT.replace(old, new))
    assert tree.run().returncode == 0


def test_one_that_was_never_judged_stops_it(tree):
    tree.list.write_text(tree.list.read_text() + f"other {HEADER} 1\n")
    assert "other has changed" in tree.run().stderr


TYPE_HEADER = "arch/x86/include/asm/mmu.h"
TYPE = """\
typedef struct {
	u64 ctx_id;	/* never used again */
#ifdef CONFIG_MODIFY_LDT_SYSCALL
	struct ldt_struct *ldt;
#endif
} mm_context_t;

typedef struct {
	int unjudged;
} other_t;
"""


@pytest.fixture
def with_type(tree):
    """The same tree, with a structure that has no name but that of its type."""
    tree.write(TYPE, TYPE_HEADER)
    tree.judge("mm_context_t", TYPE_HEADER)
    return tree


def test_a_type_passes_as_it_was_judged(with_type):
    name, header, _ = with_type.list.read_text().splitlines()[-1].split()
    assert (name, header) == ("mm_context_t", TYPE_HEADER)
    assert with_type.run().returncode == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("	u64 ctx_id;", "	u64 later;\n	u64 ctx_id;"),
        ("	struct ldt_struct *ldt;\n", ""),
        ("} mm_context_t;", "} mm_context_v2_t;"),
    ],
)
def test_a_type_that_has_changed_stops_the_build(with_type, old, new):
    with_type.write(TYPE.replace(old, new), TYPE_HEADER)
    done = with_type.run()
    assert done.returncode == 1
    assert "mm_context_t has changed" in done.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("	/* never used again */", ""),
        ("	u64 ctx_id;", "	/* of this\n	 * memory\n	 */\n	u64 ctx_id;"),
        ("	int unjudged;", "	int unjudged;\n	int later;"),
    ],
)
def test_a_comment_and_another_type_do_not(with_type, old, new):
    assert old in TYPE
    with_type.write(TYPE.replace(old, new), TYPE_HEADER)
    assert with_type.run().returncode == 0
