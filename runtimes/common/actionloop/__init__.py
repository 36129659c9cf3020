"""The launcher's half of OpenWhisk's ActionLoop protocol, shared by all schemes."""
