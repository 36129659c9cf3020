"""Testbeds: one Host interface for a local machine, a remote one over SSH, and our own guest."""
