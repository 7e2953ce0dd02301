"""Answers to rows with unknown categories: they are made less certain than those to known rows."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.signature import Inputs
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor, row_blocks
from caveat.training.fits.mixture import fit_factor
from caveat.training.objectives.objective import Objective
from caveat.training.objectives.values import UnscaleNormal

Array = NDArray[np.float64]

LEAST_MORE: Final = 1.05
"""Least ratio of the mean uncertainty of rows with an unknown category to that of the same rows without."""

_TEMPERATURES: Final = np.geomspace(1, 32, 81)


@dataclass(frozen=True)
class Hidden:
    """Rows that did not train the network, in which the category of one feature is hidden.

    Parameters
    ----------
    predictor
        Predictor of the network.
    known
        Answers to the rows with the category.
    inputs, y
        The rows without it, and their truths.
    samples, seed
        Passes over each row, and their seed.
    """

    predictor: Predictor
    known: Columns
    inputs: Inputs
    y: NDArray[Any]
    samples: int
    seed: int


class Widened(nn.Module):
    """An answer that is made less certain by each category of a row that is unknown.

    A network that has learned what to say without a category may say it too surely: where the category
    tells little, by chance; and of values, because the factor of `caveat.training.fits.mixture` on all
    variances takes off what dropout adds to those of known rows.

    Parameters
    ----------
    widths
        Logarithms of how much wider an answer gets by each of K features, shape (K, ...).
    """

    widths: Tensor

    def __init__(self, widths: Tensor) -> None:
        super().__init__()
        self.register_buffer("widths", widths)

    @abstractmethod
    def forward(self, outputs: Tensor, unknown: Tensor) -> Tensor:
        """Map a network's outputs to answers; ``unknown``, shape (B, K), tells which categories are."""

    @abstractmethod
    def widen(self, place: int, hidden: Hidden) -> None:
        """Fit the width for a feature, by its number, on rows in which its category is hidden."""


class WidenedValues(Widened):
    """Means and log-variances, with a factor on the variances for each unknown category.

    Without a fit, rows with unknown categories keep the variances that the network has learned.
    """

    def __init__(self, answer: UnscaleNormal, features: int) -> None:
        learned = 2 * answer.values.scale.log() - answer.log_factor
        super().__init__(learned.expand(features, -1).clone())
        self.answer = answer

    def forward(self, outputs: Tensor, unknown: Tensor) -> Tensor:
        """See `Widened.forward`."""
        answers: Tensor = self.answer(outputs)
        added = unknown.to(self.widths.dtype) @ self.widths
        mean, log_variance = answers.unbind(-1)
        return torch.stack(
            [mean, log_variance + (added if log_variance.ndim > 1 else added.squeeze(-1))], dim=-1
        )

    def widen(self, place: int, hidden: Hidden) -> None:
        """See `Widened.widen`: the factor that makes the truths likeliest, or a greater one."""
        answers = estimate(hidden.predictor, hidden.inputs, hidden.samples, hidden.seed)
        enough = LEAST_MORE * hidden.known["variance"].mean(axis=0) - answers["epistemic_variance"].mean(
            axis=0
        )
        least = enough / answers["aleatoric_variance"].mean(axis=0)
        likeliest = fit_factor(hidden.predictor, hidden.inputs, hidden.y, hidden.samples, hidden.seed)
        factor = np.maximum(likeliest, least)
        self.widths[place] += torch.from_numpy(np.atleast_1d(np.log(factor)))


class WidenedClasses(Widened):
    """Probabilities at a temperature for each unknown category, which multiply."""

    def __init__(self, features: int) -> None:
        super().__init__(torch.zeros(features))

    def forward(self, outputs: Tensor, unknown: Tensor) -> Tensor:
        """See `Widened.forward`."""
        scale = (-(unknown.to(outputs.dtype) @ self.widths)).exp()
        return torch.softmax(outputs * scale.unsqueeze(-1), dim=-1)

    def widen(self, place: int, hidden: Hidden) -> None:
        """See `Widened.widen`: the temperature that makes the truths likeliest, or a greater one."""
        least = LEAST_MORE * float(hidden.known["predictive_entropy"].mean())
        logs = np.log(_all_passes(hidden).clip(1e-30))
        means = [_softened(logs, temperature) for temperature in _TEMPERATURES]
        rows = np.arange(len(hidden.y))
        costs = [-np.log(mean[rows, hidden.y].clip(1e-30)).mean() for mean in means]
        entropies = [-(mean * np.log(mean.clip(1e-30))).sum(axis=-1).mean() for mean in means]
        enough = next((step for step, of in enumerate(entropies) if of >= least), len(means) - 1)
        self.widths[place] += float(np.log(_TEMPERATURES[max(int(np.argmin(costs)), enough)]))


def widened(aim: Objective, features: int) -> Widened | None:
    """Make the answer of an objective for K features with unknown categories; None if it can't be wider."""
    if isinstance(aim.answer, UnscaleNormal):
        return WidenedValues(aim.answer, features)
    return WidenedClasses(features) if aim.outputs == "probabilities" else None


def _all_passes(hidden: Hidden) -> Array:
    """Give the probabilities of all passes, shape (N, B, C)."""
    predictor, samples = hidden.predictor, hidden.samples
    blocks = row_blocks(hidden.inputs, predictor.rows_at_once(hidden.inputs, samples))
    made = [
        np.concatenate(list(predictor.passes(block, samples, hidden.seed, "stratified"))) for block in blocks
    ]
    return np.concatenate(made, axis=1).astype(np.float64)


def _softened(logs: Array, temperature: float) -> Array:
    """Give the mean over passes of probabilities at a temperature, shape (B, C)."""
    scaled = np.exp((logs - logs.max(axis=-1, keepdims=True)) / temperature)
    mean: Array = (scaled / scaled.sum(axis=-1, keepdims=True)).mean(axis=0)
    return mean
