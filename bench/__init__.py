"""rewind-bench: what isolating one serverless request from the next costs, and whether it holds."""

__version__ = "0.1.0"
