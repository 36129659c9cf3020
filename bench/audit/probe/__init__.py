"""What the isolation audit runs inside a container; standard library only, nothing done at import."""
