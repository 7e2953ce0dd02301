"""The processes that serve: connections, workers, signals and draining."""
