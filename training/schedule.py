"""The step size of each epoch, and the end of a training."""

import math
from enum import Enum, auto

from caveat.training.recipe import Recipe


class Next(Enum):
    """What follows an epoch."""

    EPOCH = auto()
    """Another epoch."""
    RETURN = auto()
    """Another epoch, from the weights of the best one."""
    END = auto()
    """Nothing."""


class Schedule:
    """Follows the epochs of a training by its recipe.

    Parameters
    ----------
    recipe
        The hyperparameters.

    Examples
    --------
    The third epoch was the second in a row that was no better, so that the end of the cosine follows:

    >>> schedule = Schedule(Recipe(10, 32, lr=1.0, patience=2, annealed=True))
    >>> [schedule.after(better) for better in (True, False, False)] == [Next.EPOCH, Next.EPOCH, Next.RETURN]
    True
    >>> round(schedule.lr, 3), schedule.left
    (0.095, 2)
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._place = 0
        self._waited = 0

    @property
    def left(self) -> int:
        """Most epochs that may follow."""
        return self._recipe.epochs - self._place

    @property
    def lr(self) -> float:
        """Step size of the next epoch."""
        lr, epochs = self._recipe.lr, self._recipe.epochs
        return lr * (1 + math.cos(math.pi * self._place / epochs)) / 2 if self._recipe.annealed else lr

    def after(self, better: bool) -> Next:
        """Say what follows an epoch, whose validation loss was the lowest so far or not."""
        patience = self._recipe.patience
        self._place += 1
        self._waited = 0 if better else self._waited + 1
        if not self.left:
            return Next.END
        if patience is None or self._waited < patience or (self._recipe.annealed and self.left <= patience):
            return Next.EPOCH
        if not self._recipe.annealed:
            return Next.END
        self._place = self._recipe.epochs - patience
        return Next.RETURN
