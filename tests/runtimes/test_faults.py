"""Faults under load, on this machine's Docker: every request is answered rightly or fails cleanly."""

from __future__ import annotations

import contextlib
import random

import fault_trial
import pytest
from fault_checks import summary

from bench.build.images import image_set, images_step
from bench.build.step import ensure
from bench.hosts.local import LocalHost
from bench.plugins import schemes, workloads

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

KILLS = 10
APART, CYCLE_S = 30, 0.03


@pytest.fixture(scope="module")
def host(docker_daemon):
    with contextlib.closing(LocalHost()) as local:
        yield local


@pytest.fixture(scope="module")
def images(host):
    made = image_set(ensure(images_step(schemes().values(), workloads().values())))
    with made.archive.open("rb") as archive:
        host.docker().images.load(archive)
    return made


@pytest.fixture(scope="module")
def bed(host):
    with fault_trial.bed(host, None) as made:
        yield made


@pytest.mark.parametrize(
    ("scheme", "part"),
    [
        ("snapshot", "manager"),
        ("snapshot", "launcher"),
        ("snapshot", "proxy"),
        ("fork", "launcher"),
        ("fork", "proxy"),
    ],
)
def test_a_part_is_killed_at_random_moments(bed, images, scheme, part):
    chance = random.Random(f"{scheme} {part}")
    trial = fault_trial.Trial(bed, images.reference(scheme), chance, f"{scheme}-{part}", APART, CYCLE_S)
    print(summary(trial.run([part] * KILLS)))
