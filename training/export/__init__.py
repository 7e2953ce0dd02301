"""Export of a PyTorch network with dropout to a bundle, whose graph takes the dropout masks as inputs."""
