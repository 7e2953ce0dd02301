"""The service: serves the bundles of a store over HTTP, with a client for it. Never imports torch."""
