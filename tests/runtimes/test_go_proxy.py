"""The proxy's own tests, in Go; and the setting for OpenWhisk's."""

from __future__ import annotations

import subprocess

import pytest

from bench import process
from bench.build.proxy import SOURCES, apache_version, go_environment, host_go, proxy_step
from bench.build.step import ensure
from bench.errors import BuildError, ConfigError


@pytest.mark.skipif(not host_go(), reason="needs Go on PATH")
def test_go_tests_pass():
    process.run(["go", "test", "./..."], timeout_s=200, cwd=SOURCES, env=go_environment())


def test_binary_is_static(proxy_binary):
    kind = subprocess.run(["ldd", proxy_binary], capture_output=True, text=True, check=False)
    assert "not a dynamic executable" in kind.stdout + kind.stderr


@pytest.mark.parametrize("setting", ["", "apache", "apache@", "apache@-x", "apache@a b", "other@1"])
def test_bad_setting_is_a_config_error(setting):
    with pytest.raises(ConfigError, match="action_proxy"):
        proxy_step(setting)


def test_apache_version_is_taken_from_the_setting():
    assert apache_version("apache@v1.18.0") == "v1.18.0"
    assert proxy_step("apache@v1.18.0").digest != proxy_step("apache@v1.17.0").digest != proxy_step().digest


def test_module_that_cannot_be_had_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("REWIND_BENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("GOPROXY", "off")
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))
    with pytest.raises(BuildError, match=r"action proxy v0.0.1 could not be built") as caught:
        ensure(proxy_step("apache@v0.0.1"))
    assert "GOPROXY" in caught.value.hint
    assert not list(tmp_path.glob("products/*"))
