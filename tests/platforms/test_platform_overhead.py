import pytest

from bench.errors import PlatformError
from bench.platforms.overhead import measure


def test_the_benchmark_compares_calls_through_the_platform_with_direct_ones(proxy):
    found = measure(proxy, calls=40, warmup=5)
    assert found.direct.n == found.through.n == 40
    assert 0 < found.direct.median_ns <= found.direct.p99_ns
    assert found.through.median_ns > found.direct.median_ns
    assert found.added_median_ns == found.through.median_ns - found.direct.median_ns
    assert found.cpu_ns_per_call > 0


def test_a_proxy_that_does_not_start_is_a_typed_error(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.platforms.overhead.START_S", 0.3)
    broken = tmp_path / "proxy"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(PlatformError, match="did not answer"):
        measure(broken, calls=1, warmup=0)
