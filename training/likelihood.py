"""How unlikely a target is under a normal law whose mean and variance a network predicts."""

from collections.abc import Sequence

from torch import Tensor

BETA = 0.5
"""How much of a row's predicted variance evens out its weight in `beta_nll`: 0 none, 1 all of it."""


def profile_nll(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean negative log-likelihood of a row under the common factor on all variances that suits best.

    In nats, and without its constant, (1 + ln(2 pi)) / 2. A network that fits its training rows ever
    more closely soon takes itself for too exact on others. Where a factor on its variances is fitted on
    such rows afterwards (`caveat.training.calibration.mixture`), what counts is how the rows compare.

    Parameters
    ----------
    outputs
        Means and logarithms of variances, shape (B, 2), or as many for each of T targets, (B, 2 T).
    targets
        Shape (B,), or (B, T). Several have a factor each, and the mean is over them too.

    Examples
    --------
    Residuals of twice the predicted deviation in each row cost no more than the factor itself, ln 2:

    >>> profile_nll(Tensor([[0.0, 0.0], [1.0, 0.0]]), Tensor([2.0, -1.0]))
    tensor(0.6931)
    """
    mean, log_variance = by_target(outputs, targets.shape[1:])
    squares = (targets - mean).square() * (-log_variance).exp()
    return ((squares.mean(dim=0).log() + log_variance.mean(dim=0)) / 2).mean()


def beta_nll(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean negative log-likelihood of a row, each weighted by its predicted variance to the power `BETA`.

    The weight is taken as a constant. Without it, a row that is badly predicted is soon called noisy, and
    then has next to no say in the mean any more (Seitzer et al., "On the pitfalls of heteroscedastic
    uncertainty estimation with probabilistic neural networks", ICLR 2022, eq. 5).

    Parameters
    ----------
    outputs
        Means and logarithms of variances, shape (B, 2), or as many for each of T targets, (B, 2 T).
    targets
        Shape (B,), or (B, T). The mean is over several, too.
    """
    mean, log_variance = by_target(outputs, targets.shape[1:])
    costs = ((targets - mean).square() * (-log_variance).exp() + log_variance) / 2
    return ((BETA * log_variance.detach()).exp() * costs).mean()


def by_target(outputs: Tensor, targets: Sequence[int]) -> tuple[Tensor, ...]:
    """Tell means and logarithms of variances apart, shape (B,), or (B, T) where ``targets`` is (T,).

    >>> by_target(Tensor([[1.0, -1.0, 2.0, -2.0]]), (2,))
    (tensor([[1., 2.]]), tensor([[-1., -2.]]))
    """
    return (outputs.unflatten(-1, (*targets, 2)) if targets else outputs).unbind(-1)
