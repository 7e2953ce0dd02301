"""Losses of a network that predicts the mean and variance of a normal distribution."""

from collections.abc import Sequence

from torch import Tensor

BETA = 0.5
"""Power of a row's predicted variance that weights the row in `beta_nll`: 0 is the plain likelihood, 1 learns
the means as squared error does."""


def profile_nll(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean negative log-likelihood of a row, with the best common factor on all variances.

    In nats, without the constant (1 + ln(2 pi)) / 2. A network that fits its training rows more and more
    closely predicts too small variances for other rows. Since a factor on the variances is fitted on other
    rows afterwards (`caveat.training.fits.mixture`), only the ratios of the variances matter.

    Parameters
    ----------
    outputs
        Means and logarithms of variances, shape (B, 2), or (B, 2 T) for T targets.
    targets
        Targets, shape (B,), or (B, T). Each of several targets has its own factor, and the mean is over rows
        and targets.

    Examples
    --------
    If every residual is twice the predicted deviation, only the factor costs, ln 2:

    >>> profile_nll(Tensor([[0.0, 0.0], [1.0, 0.0]]), Tensor([2.0, -1.0]))
    tensor(0.6931)
    """
    mean, log_variance = by_target(outputs, targets.shape[1:])
    squares = (targets - mean).square() * (-log_variance).exp()
    return ((squares.mean(dim=0).log() + log_variance.mean(dim=0)) / 2).mean()


def beta_nll(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean negative log-likelihood of a row, each weighted by its predicted variance to the power `BETA`.

    The weight counts as a constant, without a gradient. Without weights, a badly predicted row soon gets a
    large variance, and then hardly contributes to learning the mean (Seitzer et al., "On the pitfalls of
    heteroscedastic uncertainty estimation with probabilistic neural networks", ICLR 2022, eq. 5).

    Parameters
    ----------
    outputs
        Means and logarithms of variances, shape (B, 2), or (B, 2 T) for T targets.
    targets
        Targets, shape (B,), or (B, T); the mean is over rows and targets.
    """
    mean, log_variance = by_target(outputs, targets.shape[1:])
    costs = ((targets - mean).square() * (-log_variance).exp() + log_variance) / 2
    return ((BETA * log_variance.detach()).exp() * costs).mean()


def by_target(outputs: Tensor, targets: Sequence[int]) -> tuple[Tensor, ...]:
    """Split outputs into means and logarithms of variances, (B,), or (B, T) if ``targets`` is (T,).

    >>> by_target(Tensor([[1.0, -1.0, 2.0, -2.0]]), (2,))
    (tensor([[1., 2.]]), tensor([[-1., -2.]]))
    """
    return (outputs.unflatten(-1, (*targets, 2)) if targets else outputs).unbind(-1)
