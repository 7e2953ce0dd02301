"""Which of a network's parameters are weights: matrices and kernels, not biases nor scales of norms."""

from collections.abc import Sequence

from torch import nn


def weights(network: nn.Module) -> list[nn.Parameter]:
    """List the weights of a network; the rows of each, along its first axis, belong to its units.

    >>> [tuple(weight.shape) for weight in weights(nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5)))]
    [(5, 3)]
    """
    return [parameter for parameter in network.parameters() if parameter.ndim > 1]


def others(network: nn.Module, of: Sequence[nn.Parameter]) -> list[nn.Parameter]:
    """List the parameters of a network that are not among ``of``."""
    known = {id(parameter) for parameter in of}
    return [parameter for parameter in network.parameters() if id(parameter) not in known]
