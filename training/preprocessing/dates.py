"""Columns of dates, as features of the calendar."""

from collections.abc import Sequence
from math import factorial, pi
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caveat.training.preprocessing.standardise import standardise

YEAR: Final = 365.2425
"""Days of a year of the Gregorian calendar, on average."""

_WEEK: Final = 7
_FIRST: Final = 3  # 1970-01-01 was a Thursday, and weeks begin on Monday
_TERMS: Final = tuple((-1) ** k * (2 * pi) ** (2 * k + 1) / factorial(2 * k + 1) for k in range(8))


class Dates(nn.Module):
    """Turns days since 1970 into features of the calendar.

    Of each column come the time itself, standardised; cosine and sine of the phase in the year; for those
    with times of day in training, cosine and sine of the phase in the day; the day of the week, one-hot from
    Monday; and for those that may lack values, a mark. Of a missing date, the mark alone is not 0.

    Parameters
    ----------
    columns
        Places of the columns in a row.
    missing
        Places of those among them that may lack values.
    x
        Training rows, shape (B, ...).
    """

    dates: Tensor
    marked: Tensor
    waved: Tensor
    period: Tensor
    shift: Tensor
    dated: Tensor
    weekday: Tensor

    def __init__(self, columns: Sequence[int], missing: Sequence[int], x: NDArray[Any]) -> None:
        super().__init__()
        days = x[:, list(columns)].astype(np.float64)
        self.standardise = standardise(days)
        timed = [place for place, of in enumerate(days.T) if (np.floor(of) != of)[~np.isnan(of)].any()]
        waves = [(place, YEAR) for place in range(len(columns))] + [(place, 1.0) for place in timed]
        self.register_buffer("dates", torch.tensor(columns, dtype=torch.int64))
        self.register_buffer("marked", torch.tensor(missing, dtype=torch.int64))
        self.register_buffer("waved", torch.tensor([place for place, _ in waves for _ in range(2)]))
        self.register_buffer("period", _doubles(period for _, period in waves for _ in range(2)))
        self.register_buffer("shift", _doubles([0.0, 0.25] * len(waves)))
        self.register_buffer("dated", torch.arange(len(columns)).repeat_interleave(_WEEK))
        self.register_buffer("weekday", _doubles(list(range(_WEEK)) * len(columns)))

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows (B, columns) to the times, then the waves, the days of the week and the marks."""
        days = rows.index_select(1, self.dates).double()
        lacking = days.isnan() if len(self.marked) else None
        if lacking is not None:
            days = torch.where(lacking, self.standardise.mean, days)
        phases = days.index_select(1, self.waved) / self.period - self.shift
        day = days.floor() + _FIRST
        weekday = (day - _WEEK * (day / _WEEK).floor()).index_select(1, self.dated) == self.weekday
        found = [self.standardise(days), _cosine(phases).float(), weekday.float()]
        if lacking is None:
            return torch.cat(found, dim=1)
        known = (~lacking).float()
        found[1] = found[1] * known.index_select(1, self.waved)
        found[2] = found[2] * known.index_select(1, self.dated)
        marks = rows.index_select(1, self.marked).isnan()
        return torch.cat([*found, marks.float()], dim=1)


def _doubles(values: Any) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64)


def _cosine(turns: Tensor) -> Tensor:
    """Compute the cosine of angles, given in turns, to 1e-10.

    Sums and products give equal bits in every batch and on every machine; the engines' sines do not.
    """
    turns = turns - (turns + 0.5).floor()
    rest = 0.25 - turns.abs()  # cos a = sin(pi/2 - a), of an angle in the first or fourth quarter
    square = rest * rest
    series: Tensor = square * _TERMS[-1]
    for term in _TERMS[-2:0:-1]:
        series = (series + term) * square
    cosine: Tensor = (series + _TERMS[0]) * rest
    return cosine
