"""The generator's own lateness is measured against a real server and reported as it was."""

import numpy as np
import pytest

from bench.load.lateness import measure_lateness
from bench.load.plan import REQUESTS, Record, read_lines

pytestmark = pytest.mark.slow


def test_figures_are_those_of_the_raw_records(tmp_path):
    measured = measure_lateness(tmp_path, rate_per_s=200, requests=100)
    raw = [(one.actual_ns - one.intended_ns) / 1e6 for one in read_lines(tmp_path / REQUESTS, Record)]
    assert (measured.sent, measured.dropped, measured.failed) == (100, 0, 0)
    assert measured.late == sum(late > 5 for late in raw)
    assert measured.max_ms == max(raw)
    assert measured.p50_ms == np.percentile(raw, 50)
    assert 0 <= measured.p50_ms <= measured.p99_ms <= measured.max_ms
