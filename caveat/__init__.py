"""Serves PyTorch networks with dropout, and says with every prediction how far it can be trusted."""

__version__ = "0.1.0"
