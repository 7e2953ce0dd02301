"""The hyperparameters of a training run, and those that suit a number of rows."""

import math
from dataclasses import dataclass, replace
from typing import Final

from caveat.models.tasks.defaults import Defaults
from caveat.training.options import Options

FEW: Final = 10_000
"""Training rows up to which batches are smallest and epochs are most."""

LEAST_BATCH: Final = 32
MOST_BATCH: Final = 1024
MOST_EPOCHS: Final = 200
MOST_LR: Final = 0.005


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of a training run.

    Parameters
    ----------
    epochs
        Most passes over the training rows.
    batch_size
        Rows per step.
    lr
        Step size of Adam (Kingma & Ba, ICLR 2015).
    patience
        Epochs without a lower validation loss after which training stops; None goes through all epochs.
    annealed
        Whether the step size falls to 0 along half a cosine (Loshchilov & Hutter, ICLR 2017, eq. 5). When
        ``patience`` ends, training returns to its best epoch, and the end of the cosine follows, ``patience``
        epochs long.
    l1, l2
        Factors of the penalties on weights: of their absolute values, and of their squares.
    weight_decay
        Part by which each step shrinks the weights, in proportion to the step size, whatever the gradient
        (AdamW; Loshchilov & Hutter, ICLR 2019).
    max_norm
        Bound on the norm of each unit's weights; None bounds none.
    """

    epochs: int
    batch_size: int
    lr: float
    patience: int | None
    annealed: bool = False
    l1: float = 0.0
    l2: float = 0.0
    weight_decay: float = 0.0
    max_norm: float | None = None


def suited(rows: int) -> tuple[int, int]:
    """Give the batch size and the number of epochs that suit a number of training rows.

    Up to `FEW` rows they stay the same. Beyond, the batch grows with the rows, so that an epoch has about 300
    steps, until `MOST_BATCH`; and the epochs fall with the root of the rows, since an epoch teaches more.

    >>> suited(1_000), suited(10_000), suited(20_000)
    ((32, 200), (32, 200), (64, 141))
    >>> suited(400_000), suited(10_000_000)
    ((1024, 32), (1024, 6))
    """
    growth = max(1.0, rows / FEW)
    batch_size = min(LEAST_BATCH * 2 ** math.ceil(math.log2(growth)), MOST_BATCH)
    return batch_size, max(1, round(MOST_EPOCHS / math.sqrt(growth)))


def suited_lr(lr: float, batch_size: int) -> float:
    """Give the step size that suits a batch size, from the one that suits the smallest batches.

    It grows with the root of the batch size, as the gradient's noise falls, up to `MOST_LR`.

    >>> suited_lr(0.001, 32), suited_lr(0.001, 128), suited_lr(0.001, 1024), suited_lr(0.01, 1024)
    (0.001, 0.002, 0.005, 0.01)
    """
    return max(lr, min(lr * math.sqrt(batch_size / LEAST_BATCH), MOST_LR))


def suited_rate(rate: float, rows: int) -> float:
    """Give the dropout rate that suits a number of training rows, from the rate that suits few.

    Beyond `FEW` rows it falls with their root, as a rate that is learned does (Gal, Hron & Kendall,
    "Concrete dropout", NeurIPS 2017), down to a fifth.

    >>> suited_rate(0.1, 5_000), suited_rate(0.1, 40_000), suited_rate(0.1, 4_000_000)
    (0.1, 0.05, 0.02)
    """
    return round(rate * max(0.2, min(1.0, math.sqrt(FEW / rows))), 3)


def recipe(options: Options, defaults: Defaults, rows: int) -> Recipe:
    """Give the hyperparameters for training on so many rows: the user's, or those that suit."""
    batch_size, epochs = suited(rows)
    epochs = options.epochs or epochs
    batch_size = options.batch_size or batch_size
    lr = suited_lr(defaults.lr, batch_size) if rows > FEW else defaults.lr
    annealed = defaults.patience is None or rows > FEW
    patience = max(1, epochs * 3 // 10) if annealed else defaults.patience
    return Recipe(
        epochs,
        batch_size,
        options.lr or lr,
        options.patience or patience,
        annealed,
        options.l1,
        options.l2,
        options.weight_decay,
        options.max_norm,
    )


def trial(whole: Recipe) -> Recipe:
    """Shorten a recipe to one that tells on about 10,000 rows which objective suits.

    >>> short = trial(Recipe(epochs=64, batch_size=1024, lr=0.005, patience=6, annealed=True))
    >>> short.epochs, short.batch_size, short.lr
    (40, 128, 0.005)
    """
    return replace(whole, epochs=min(whole.epochs, 40), batch_size=min(whole.batch_size, 4 * LEAST_BATCH))
