"""The preprocessing of raw rows, as a module that becomes part of the exported graphs."""

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caveat.models.bundles.features import Feature
from caveat.models.bundles.signature import Input
from caveat.training.preprocessing.categories import Categories
from caveat.training.preprocessing.dates import Dates
from caveat.training.preprocessing.numbers import Numbers
from caveat.training.preprocessing.standardise import standardise


class Encode(nn.Module):
    """Prepares the columns of a table: numbers first, then dates, then categories.

    Parameters
    ----------
    features
        The features, in the order of the columns.
    x
        Training rows, shape (B, columns).
    """

    def __init__(self, features: Sequence[Feature], x: NDArray[Any]) -> None:
        super().__init__()
        dates = [i for i, feature in enumerate(features) if feature.dates is not None]
        categories = {i: feature for i, feature in enumerate(features) if feature.categories is not None}
        numbers = [i for i in range(len(features)) if i not in {*dates, *categories}]
        parts = {
            # Without a column of its own kind, each part but the numbers is left out of the graph.
            "numbers": Numbers(numbers, _missing(features, numbers), x),
            "dates": Dates(dates, _missing(features, dates), x) if dates else None,
            "categories": Categories(categories) if categories else None,
        }
        self.parts = nn.ModuleDict({name: part for name, part in parts.items() if part is not None})

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows (B, columns) to prepared rows (B, prepared columns)."""
        return torch.cat([part(rows) for part in self.parts.values()], dim=1)


def preprocess(spec: Input, x: NDArray[Any], *, sequences: bool = False) -> nn.Module:
    """Fit the preprocessing of an input on training rows.

    Numbers are standardised. Each feature of a vector or a sequence has its own mean and standard
    deviation, for a sequence over all steps; other rows of higher rank, such as images, have one mean and
    one standard deviation over all values. Categories become one-hot columns, dates features of the calendar.
    Each feature that may lack values gets a column that marks a missing one.

    Parameters
    ----------
    spec
        The input's signature.
    x
        Training rows, shape (B, ...); NaN is a missing value.
    sequences
        Whether the rows are sequences, (length, features).
    """
    features = spec.features or ()
    if all(feature == Feature(name=feature.name) for feature in features):
        return standardise(x.reshape(-1, x.shape[-1]) if sequences else x)
    return Encode(features, x)


def _missing(features: Sequence[Feature], places: Sequence[int]) -> list[int]:
    return [place for place in places if features[place].missing]
