"""`python -m bench` is `rewind-bench`."""

from bench.cli import main

main()
