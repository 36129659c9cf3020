"""The texts are as the kernel writes them; the figures were added up by hand."""

from bench.probes import cgroup, memory


def test_memory_group_of_version_2():
    group = cgroup.memory_group("0::/system.slice/docker-abc.scope\n")
    assert group == cgroup.MemoryGroup(2, "/sys/fs/cgroup/system.slice/docker-abc.scope")


def test_memory_group_of_version_1_with_joined_controllers():
    text = "12:cpu,cpuacct:/docker/abc\n5:freezer,memory:/docker/abc\n0::/\n"
    assert cgroup.memory_group(text) == cgroup.MemoryGroup(1, "/sys/fs/cgroup/memory/docker/abc")


def test_no_memory_group():
    assert cgroup.memory_group("0::/\n") is None


def test_heads_are_split_by_file():
    text = "==> /a/memory.current <==\n4096\n\n==> /a/memory.stat <==\nanon 1\nfile 2\n"
    assert cgroup.split_heads(text) == {"/a/memory.current": "4096", "/a/memory.stat": "anon 1\nfile 2"}


def test_free_pages_of_processors_are_counted_over_all_zones():
    text = (
        "Node 0, zone    DMA32\n  pages free     3910\n      nr_free_pages 3910\n  pagesets\n    cpu: 0\n"
        "              count:    62\n              high:     3125\n    cpu: 1\n              count:    8\n"
        "Node 0, zone   Normal\n  pagesets\n    cpu: 0\n              count:    930\n"
    )
    assert memory.own_lists_bytes(text) == 1000 * 4096


def test_rollup_counts_bytes():
    text = "55d0-7ffe ---p 00000000 00:00 0 [rollup]\nRss:  12 kB\nPss:  5 kB\nLocked: 0 kB\n"
    assert memory.rollup(text) == {"Rss": 12288, "Pss": 5120, "Locked": 0}
