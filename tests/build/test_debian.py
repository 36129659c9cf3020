"""Which mirror a build uses: the host's own where it fits, the one asked for, else Debian's."""

from bench.build.debian import apt_lines
from bench.build.guest import guest_step
from bench.build.kernel import toolchain_step


def etc(tmp_path, **files):
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        (tmp_path / "sources.list.d" / name.replace("_", ".")).write_text(text)
    return tmp_path


def test_deb822_sources_of_the_suite_are_used(tmp_path):
    place = etc(
        tmp_path,
        debian_sources=(
            "Types: deb deb-src\n# a comment\nURIs: http://mirror.test/debian\n"
            "Suites: bookworm bookworm-updates bookworm-backports\nComponents: main contrib\n"
            "Signed-By: /usr/share/keyrings/k.gpg\n\n"
            "Types: deb\nURIs: http://other.test\nSuites: bookworm\nComponents: stable\n\n"
            "Enabled: no\nTypes: deb\nURIs: http://off.test\nSuites: bookworm\nComponents: main\n"
        ),
    )
    assert apt_lines("", place) == [
        "deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror.test/debian bookworm main",
        "deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror.test/debian bookworm-updates main",
    ]


def test_one_line_sources_are_used(tmp_path):
    place = etc(tmp_path, a_list="# deb http://no.test bookworm main\ndeb http://m.test bookworm main\n")
    assert apt_lines("", place) == ["deb http://m.test bookworm main"]


def test_another_distribution_leaves_the_choice_to_mmdebstrap(tmp_path):
    assert apt_lines("", etc(tmp_path, ubuntu_list="deb http://ubuntu.test noble main\n")) == []


def test_a_mirror_that_was_asked_for_wins_and_changes_the_digest(tmp_path):
    assert apt_lines("http://snapshot.test/1", tmp_path)[0] == "deb http://snapshot.test/1 bookworm main"
    assert toolchain_step(mirror="http://a.test").digest != toolchain_step().digest
    assert guest_step("own").digest != guest_step("stock").digest
