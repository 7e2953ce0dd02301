"""Serves the bundles of a store over HTTP; asks a running service. Never imports torch."""
