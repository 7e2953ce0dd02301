"""The door over HTTP: Caveat's own routes."""
