"""Serverless platforms: what accepts invocations and owns the container pool."""
