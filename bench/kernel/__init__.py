"""The kernel under test: self-tests in a bare boot, cost under the instruction clock, regressions."""
