"""The objectives of a network that answers with values in their own units."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from caveat.models.bundles.signature import Inputs
from caveat.models.predictor import Predictor
from caveat.training.errors import DataError
from caveat.training.fits.mixture import fit_factor
from caveat.training.objectives.likelihood import beta_nll, by_target, profile_nll
from caveat.training.objectives.objective import Objective
from caveat.training.vocabulary import Noise


class Unscale(nn.Module):
    """Maps a scaled target back to its own units: ``value * scale + mean``.

    The product is in float64, since float32 rounds the seconds since 1970 to two minutes.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> None:
        super().__init__()
        # With one axis, the product has their dtype; without an axis, it would have that of the values.
        self.register_buffer("mean", torch.from_numpy(np.atleast_1d(mean)))
        self.register_buffer("scale", torch.from_numpy(np.atleast_1d(scale)))

    def forward(self, values: Tensor) -> Tensor:
        """Map values (B,), or (B, T) for T targets, to values of the same shape in float64."""
        return values * self.scale + self.mean


class UnscaleNormal(nn.Module):
    """Maps the mean and log-variance of a scaled target back to the target's units.

    Parameters
    ----------
    values
        Module that maps values back to the target's units.
    targets
        (T,) for T targets, () for a single one.
    """

    log_factor: Tensor

    def __init__(self, values: Unscale, targets: tuple[int, ...]) -> None:
        super().__init__()
        self.values = values
        self.targets = targets
        self.register_buffer("log_factor", 2 * values.scale.log())

    def scale_noise(self, factor: ArrayLike) -> None:
        """Multiply all predicted variances by a factor, or by one factor for each target."""
        self.log_factor += torch.from_numpy(np.atleast_1d(np.log(factor)))

    def forward(self, outputs: Tensor) -> Tensor:
        """Map means and log-variances to those in the target's units, in float64.

        From shape (B, 2) to (B, 2), or from (B, 2 T) to (B, T, 2).
        """
        mean, log_variance = by_target(outputs, self.targets)
        return torch.stack([self.values(mean), log_variance + self.log_factor], dim=-1)


def regression(y: NDArray[Any], noise: Noise) -> Objective:
    """Learn the standardised target, and answer in the target's own units.

    With constant noise, the mean is learned by squared error; with predicted noise, mean and log-variance
    are learned together, by `beta_nll`.

    Parameters
    ----------
    y
        Targets of the training rows, shape (B,), or (B, T), which give the scale of each target.
    noise
        Whether the noise is constant or predicted.

    Raises
    ------
    DataError
        If a target has no scale, because all its values are equal or too large to square.
    """
    mean, scale = _moments(y)

    def encode(values: NDArray[Any]) -> Tensor:
        return torch.from_numpy((values - mean) / scale).float()

    unscale, targets = Unscale(mean, scale), y.shape[1:]
    name, score = "RMSE", _rmse
    if targets:  # in standard deviations, since the units of the targets differ
        name, score = "scaled RMSE", lambda values, y: _rmse(values / unscale.scale, y / unscale.scale)
    width = math.prod(targets)
    if noise == "constant":
        single = width if targets else None
        return Objective(single, "mean", F.mse_loss, F.mse_loss, encode, unscale, name, score)

    def score_of_means(answers: Tensor, y: Tensor) -> float:
        return score(answers[..., 0], y)

    normal = UnscaleNormal(unscale, targets)

    def adjust(predictor: Predictor, inputs: Inputs, y: NDArray[Any], samples: int, seed: int) -> None:
        normal.scale_noise(fit_factor(predictor, inputs, y, samples, seed))

    return Objective(
        2 * width,
        "mean_log_variance",
        beta_nll,
        profile_nll,
        encode,
        normal,
        name,
        score_of_means,
        adjust,
    )


def _moments(y: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give mean and standard deviation of each target, shape () or (T,)."""
    for values in y.reshape(len(y), -1).T:
        if values.min() == values.max():
            raise DataError(
                f"the target is {values[0]:g} in all {len(y)} rows to train on; there is nothing to learn "
                "from them (another --seed gives another split of the rows)"
            )
    with np.errstate(over="ignore"):
        mean, scale = y.mean(axis=0), y.std(axis=0)
    if not np.isfinite(scale).all() or (scale == 0).any():
        raise DataError(
            f"the target goes from {y.min():g} to {y.max():g}, which float64 can't square; rescale it"
        )
    return mean, scale


def _rmse(values: Tensor, y: Tensor) -> float:
    return float((values - y).square().mean().sqrt())
