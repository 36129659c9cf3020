"""What is read from a testbed while it works: memory, CPU, facts."""
