"""New seeds after a restore, unless the action wants its own."""

from __future__ import annotations

import random
import sys
import types

import pytest
from actionloop.reseed import reseed


@pytest.mark.parametrize(("keeps", "different"), [(False, 3), (True, 1)])
def test_an_action_may_keep_the_seeds_that_it_has_set(monkeypatch, keeps, different):
    module = types.ModuleType("main__")
    module.KEEP_SEEDS = keeps
    monkeypatch.setitem(sys.modules, "main__", module)
    before = random.getstate()
    drawn = set()
    for _ in range(3):
        random.seed(5)  # what a restore puts back
        reseed()
        drawn.add(random.random())
    random.setstate(before)
    assert len(drawn) == different
