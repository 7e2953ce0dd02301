"""Some rows of a part, where all of them would tell little more and take long."""

import numpy as np
from numpy.typing import NDArray

from caveat.training.data.dataset import Part, Split

MOST_VALIDATED = 10_000
"""Most rows that decide when training stops, and what is fitted and chosen after it."""

MOST_CHOOSING = 10_000
"""Most training rows to choose among objectives on."""

MOST_EVALUATED = 10_000
"""Most rows that measure and calibrate a model: a rate has a standard error of at most 0.5 % then."""


def sample(part: Part, most: int, seed: int) -> Part:
    """Choose rows of a part at random, all of them if there are no more than ``most``; they keep their order.

    >>> len(sample(Part(np.zeros((50, 2)), np.zeros(50)), 20, seed=1))
    20
    """
    return part if len(part) <= most else _rows(part, _chosen(part, most, seed))


def with_few_validated(parts: Split, seed: int, most: int = MOST_VALIDATED) -> Split:
    """Train on the rows of the validation part beyond ``most``, which are chosen at random."""
    train, validation = parts.train, parts.validation
    if len(validation) <= most:
        return parts
    chosen = _chosen(validation, most, seed)
    others = _rows(validation, np.setdiff1d(np.arange(len(validation)), chosen))
    joined = Part(np.concatenate([train.x, others.x]), np.concatenate([train.y, others.y]))
    return Split(joined, _rows(validation, chosen), parts.test)


def _chosen(part: Part, count: int, seed: int) -> NDArray[np.int64]:
    generator = np.random.default_rng((seed, 1))  # another stream than that of the split
    return np.sort(generator.permutation(len(part))[:count])


def _rows(part: Part, rows: NDArray[np.int64]) -> Part:
    return Part(part.x[rows], part.y[rows])
