"""Every patch compiles: the script on a tree of three files, what is read from patches, and the verdict."""

import subprocess

import pytest

from bench.build.kernel import series_of
from bench.build.step import Product
from bench.errors import BuildError
from bench.kernel import each

MAKEFILE = """\
allnoconfig: ; @cp $(KCONFIG_ALLCONFIG) .config
%.o: %.c .config ; @gcc -Wall $(KCFLAGS) -c -o $@ $<
"""
TREE = {
    "Makefile": MAKEFILE,
    "mm/Makefile": "obj-y := memory.o\nobj-$(CONFIG_KSM) += ksm.o\n",
    "mm/memory.c": "int fault(void)\n{\n\treturn 0;\n}\n",
    "mm/ksm.c": "int ksm(void)\n{\n\treturn 0;\n}\n",
}


class Series:
    """Patches of a small tree, made of what it looks like after each."""

    def __init__(self, folder):
        self.tree, self.before, self.patches = folder / "tree", folder / "before", folder / "patches"
        self.patches.mkdir(parents=True)
        self.after, self.number = dict(TREE), 0
        write(self.tree, TREE)

    def patch(self, name, **changed):
        """The next one; names of files have __ for their slash."""
        self.number += 1
        text = f"Subject: {name}\n\n---\n"
        for key, content in changed.items():
            path = key.replace("__", "/").replace("_c", ".c")
            old = self.after.get(path)
            self.after[path] = content
            text += difference(path, old, content)
        (self.patches / f"{self.number:04}-{name}.patch").write_text(text)

    def run(self, config):
        """Lines that the script says under a configuration."""
        each.write_inputs(self.patches / "each", series_of(self.patches), config)
        argv = ["sh", str(self.patches / "each" / "each.sh"), str(self.patches), "2"]
        done = subprocess.run(argv, cwd=self.tree, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def difference(path, old, new):
    removed, added = (old or "").splitlines(), new.splitlines()
    head = f"--- {'a/' + path if old else '/dev/null'}\n+++ b/{path}\n"
    hunk = f"@@ -{int(bool(old))},{len(removed)} +1,{len(added)} @@\n"
    return head + hunk + "".join(f"-{x}\n" for x in removed) + "".join(f"+{x}\n" for x in added)


def function(name, body="return 0;"):
    return f"int {name}(void)\n{{\n\t{body}\n}}\n"


@pytest.fixture
def series(tmp_path):
    return Series(tmp_path)


def test_a_series_of_which_each_patch_compiles(series):
    series.patch("hook", mm__memory_c=function("fault", "return 1;"))
    series.patch(
        "log",
        mm__Makefile="obj-y := memory.o\nobj-$(CONFIG_REWIND) += rewind/\n",
        mm__rewind__Makefile="obj-y := log.o\nobj-$(CONFIG_REWIND_DEBUG) += verify.o\n",
        mm__rewind__log_c=function("rewind_log"),
        mm__rewind__verify_c=function("rewind_verify"),
    )
    both = ["ok 0001-hook.patch", "ok 0002-log.patch", "compiled mm/memory.c"]
    assert series.run("CONFIG_REWIND=y\n") == [*both, "compiled mm/rewind/log.c"]


def test_what_a_configuration_lacks_is_not_compiled(series):
    series.patch("own", mm__Makefile="obj-y := memory.o\nobj-$(CONFIG_REWIND) += rewind/\n")
    series.patch("log", mm__rewind__Makefile="obj-y := log.o\n", mm__rewind__log_c="no C at all\n")
    assert series.run("# CONFIG_REWIND is not set\n") == ["ok 0001-own.patch", "ok 0002-log.patch"]


def test_a_patch_that_only_a_later_one_mends_is_named(series):
    series.patch("warns", mm__memory_c=function("fault", "int unused; return 1;"))
    series.patch("mends", mm__memory_c=function("fault", "return 1;"))
    failed, good, _ = series.run("CONFIG_REWIND=y\n")
    assert failed.startswith("failed 0001-warns.patch: does not compile: mm/memory.c")
    assert "unused" in failed
    assert good == "ok 0002-mends.patch"


def test_a_call_of_what_comes_later_is_named(series):
    series.patch("calls", mm__memory_c=f"int rewind_log(void);\n{function('fault', 'return rewind_log();')}")
    series.patch("defines", mm__ksm_c=function("rewind_log"))
    failed, good, *_ = series.run("CONFIG_KSM=y\n")
    assert failed.startswith("failed 0001-calls.patch: uses what a later patch defines: rewind_log")
    assert good == "ok 0002-defines.patch"


def test_a_patch_that_does_not_apply_ends_the_run(series):
    series.patch("first", mm__memory_c=function("fault", "return 1;"))
    series.patch("second", mm__memory_c=function("fault", "return 2;"))
    other = difference("mm/memory.c", "int another;\n", "int x;\n")
    (series.patches / "0001-first.patch").write_text(f"Subject: first\n\n---\n{other}")
    (line,) = series.run("CONFIG_REWIND=y\n")
    assert line.startswith("failed 0001-first.patch: does not apply")


def test_sources_and_names_are_read_from_our_own_patches():
    ours = series_of(each.PATCHES)
    if not ours:
        pytest.skip("there is no series")
    found = each.sources(ours)
    assert found["mm/rewind/core.c"]
    assert not found["mm/memory.c"]
    assert not found["arch/x86/kernel/rewind.c"]
    assert each.names(ours) >= {"rewind_arm", "copy_mc_page", "__tracepoint_rewind_done"}
    assert not {"kfree", "if", "memcpy"} & each.names(ours)


def test_a_source_that_no_configuration_compiles_is_a_problem(series):
    series.patch("hook", mm__memory_c="", mm__ksm_c="")
    assert each.left_out(["mm/memory.c"], series_of(series.patches)) == ["no configuration compiles mm/ksm.c"]


@pytest.fixture
def built(series, tmp_path, monkeypatch):
    """What the script is to say by configuration; a line that failed makes the step fail, as in earnest."""
    series.patch("hook", mm__memory_c=function("fault", "return 1;"))
    said = dict.fromkeys(each.CONFIGURATIONS, "ok 0001-hook.patch\ncompiled mm/memory.c\n")

    def compile_nothing(work, patches, config, results):
        name = work.out.name
        results.write_text(said[name])

    def ensure(step):
        name = step.name.removeprefix("each-")
        out = tmp_path / name
        out.mkdir(exist_ok=True)
        step.build(type("Work", (), {"out": out, "log": tmp_path / "log"}))
        return Product(step.name, step.digest, out)

    monkeypatch.setattr(each, "_compile", compile_nothing)
    monkeypatch.setattr(each, "ensure", ensure)
    return said


def test_a_good_series_has_a_good_verdict(built, series, tmp_path):
    found = each.verdict(tmp_path / "each-patch", patches=series.patches)
    assert found.problems == ()
    assert found.passed == len(each.CONFIGURATIONS)


def test_a_failed_patch_is_in_the_verdict_by_name(built, series, tmp_path):
    built["n"] = "failed 0001-hook.patch: does not compile: mm/memory.c:3: error: no\n"
    (problem,) = each.verdict(tmp_path / "each-patch", patches=series.patches).problems
    assert problem == "CONFIG_REWIND n: 0001-hook.patch: does not compile: mm/memory.c:3: error: no"


def test_a_build_that_did_not_get_so_far_is_a_problem(built, series, tmp_path, monkeypatch):
    def fail(step):
        raise BuildError("no mirror")

    monkeypatch.setattr(each, "ensure", fail)
    problems = each.verdict(tmp_path / "each-patch", patches=series.patches).problems
    assert problems == tuple(f"CONFIG_REWIND {name}: no mirror" for name in each.CONFIGURATIONS)


def test_a_changed_patch_is_compiled_again(series):
    series.patch("hook", mm__memory_c=function("fault", "return 1;"))
    before = each.key_of(series.patches)
    assert each.key_of(series.patches) == before
    (series.patches / "0001-hook.patch").write_text(
        difference("mm/memory.c", TREE["mm/memory.c"], "int x;\n")
    )
    assert each.key_of(series.patches) != before
