"""Figures with their standard errors, and the bounds that they are held to.

The rows of a seed share its masks, so a seed is the unit: what is measured is averaged over the rows and the
passes of a seed, and only seeds count as independent. A figure is a function of averages over seeds, such as
a ratio. The jackknife computes it without each seed in turn: how far these values scatter gives the standard
error, and how far their mean is off gives the bias of order 1 / seeds, which is taken away (Efron & Stein,
"The jackknife estimate of variance", 1981). What a figure is compared with is computed from the same
averages, so that its error is part of the standard error.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Averages = NDArray[np.float64]
"""Averages over seeds, shape (..., rows) or (..., rows, outputs)."""

BAR = 4.0
"""Standard errors by which a figure may be outside its bounds."""


@dataclass(frozen=True)
class Figure:
    """An estimate and its standard error.

    Examples
    --------
    >>> f"{Figure(0.5512, 0.0063):.2f}, {Figure(0.03217, 0.0004):+.1%}"
    '0.55 ± 0.01, +3.2 ± 0.1 %'
    """

    value: float
    error: float

    def __format__(self, spec: str) -> str:
        """Show both numbers as ``spec`` says, such as ``.2f`` or ``+.1%``; the error is rounded up."""
        digits, percent = int(spec.lstrip("+.")[:-1]), spec.endswith("%")
        scale, unit = (100, " %") if percent else (1, "")
        error = math.ceil(scale * self.error * 10**digits) / 10**digits
        return f"{scale * self.value:{spec[:-1]}f} ± {error:.{digits}f}{unit}"

    def misses(self, cell: str, low: float, high: float) -> list[str]:
        """Say by how much the figure, that of this cell, is outside these bounds, if it is by too much."""
        beyond = max(low - self.value, self.value - high)
        if beyond <= BAR * self.error + 1e-12:
            return []
        return [f"{cell}: {self.value:.5f} ± {self.error:.5f}; the bounds are {low:.5f} to {high:.5f}"]


def jackknife(figure: Callable[..., NDArray[np.float64]], *by_seed: NDArray[np.float64]) -> Figure:
    """Compute a figure from averages over seeds.

    Parameters
    ----------
    figure
        Computes the figure from an average of each of ``by_seed``; it must keep axes before those of an
        average, over which it is vectorized.
    by_seed
        What was measured; the first axis of each is the seed, and there are equally many.

    Examples
    --------
    >>> values = np.array([1.0, 2.0, 6.0])
    >>> made = jackknife(lambda first, second: second - first**2, values, values**2)
    >>> round(made.value, 6)  # the unbiased variance
    7.0
    """
    seeds = len(by_seed[0])
    whole = float(figure(*(each.mean(axis=0) for each in by_seed)))
    without = figure(*((each.sum(axis=0) - each) / (seeds - 1) for each in by_seed))
    value = seeds * whole - (seeds - 1) * float(without.mean())
    return Figure(value, math.sqrt((seeds - 1) * float(without.var())))


def over_rows(values: Averages, outputs: bool = False) -> Averages:
    """Average over rows, the last axis, or over rows and ``outputs``, the last two."""
    averages: Averages = values.mean(axis=(-2, -1) if outputs else -1)
    return averages


def root(squares: Averages) -> Averages:
    """Take the square root, of what may be a little below 0 by rounding."""
    positive: Averages = np.sqrt(np.maximum(squares, 0))
    return positive


def seeds_of(place: int, seeds: int) -> range:
    """Give seeds that no other place has: figures at different places share no masks."""
    return range(place * 10**6, place * 10**6 + seeds)


def told(misses: list[str]) -> int:
    """Print the figures outside their bounds; give the program's exit code."""
    for miss in misses:
        print(f"outside its bounds by more than {BAR:g} standard errors: {miss}")
    return 1 if misses else 0


def plain(figures: Any) -> Any:
    """Turn figures within dictionaries into what JSON knows."""
    if isinstance(figures, Figure):
        return {"value": figures.value, "standard_error": figures.error}
    return {str(name): plain(of) for name, of in figures.items()} if isinstance(figures, dict) else figures
