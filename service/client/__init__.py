"""Asks a running service, for ``caveat predict``."""
