"""Columns of categories, some of which may be missing, or unknown to training."""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from caveat.models.bundles.features import OTHER, Feature

_MISSING: Final = -2.0
"""What the code of a missing category is compared as: NaN is unequal to itself."""


class Categories(nn.Module):
    """Turns columns of category codes into one-hot columns.

    A feature's columns stand together: one for each category, then one for a missing value if it may be
    missing, then one for a category that training did not see if it may be such a one.

    Parameters
    ----------
    features
        The categorical features, by their places in a row.
    """

    column: Tensor
    code: Tensor

    def __init__(self, features: Mapping[int, Feature]) -> None:
        super().__init__()
        codes = {place: _codes(feature) for place, feature in features.items()}
        hot = [(place, code) for place, of in codes.items() for code in of]
        self.register_buffer("column", torch.tensor([place for place, _ in hot]))
        self.register_buffer("code", torch.tensor([code for _, code in hot], dtype=torch.float64))
        self._gaps = any(feature.missing for feature in features.values())

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows (B, columns) to one-hot columns."""
        codes = rows.index_select(1, self.column)
        if self._gaps:
            codes = torch.where(codes.isnan(), _MISSING, codes)
        return (codes == self.code).float()


def _codes(feature: Feature) -> list[float]:
    codes = [float(code) for code in range(len(feature.categories or ()))]
    return [*codes, *([_MISSING] if feature.missing else []), *([OTHER] if feature.other else [])]
