"""How long a training takes, estimated from its first steps."""

from itertools import chain, islice, repeat
from time import perf_counter
from typing import Final

from caveat.training.data.dataset import Part
from caveat.training.fit import Trainer
from caveat.training.recipe import Recipe

_WARM_UP: Final = 3
_TIMED: Final = 20
_SECONDS: Final = 1.0


def seconds(trainer: Trainer, validation: Part, recipe: Recipe) -> float:
    """Estimate the time of all epochs from some steps and one validation, in seconds.

    It trains the network a little, so that it takes one of its own.
    """
    losses = chain.from_iterable(map(trainer.epoch, repeat(recipe.lr)))
    for loss in islice(losses, _WARM_UP):
        loss.item()  # waits for a GPU
    start = perf_counter()
    timed, spent = 0, 0.0
    while timed < _TIMED and spent < _SECONDS:
        next(losses).item()
        timed, spent = timed + 1, perf_counter() - start
    start = perf_counter()
    trainer.validate(validation)
    return recipe.epochs * (trainer.steps * spent / timed + perf_counter() - start)


def in_words(estimate: float) -> str:
    """Round a time.

    >>> in_words(0.3), in_words(42.4), in_words(200), in_words(9000)
    ('a few seconds', '42 s', '3 min', '2.5 h')
    """
    if estimate < 3:
        return "a few seconds"
    if estimate < 100:
        return f"{estimate:.0f} s"
    return f"{estimate / 60:.0f} min" if estimate < 6000 else f"{estimate / 3600:.1f} h"
