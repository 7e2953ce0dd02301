"""From a PyTorch network with dropout to a bundle whose dropout masks are inputs of the graph."""
