"""The example that an export is given."""

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

import torch
from torch import Tensor

from caveat.models.bundles.features import OTHER
from caveat.models.bundles.signature import Input
from caveat.training.errors import ExportError

_EXAMPLES = 8  # most rows of the example that are used


def by_name(example: Any, inputs: Sequence[Input] | None) -> dict[str, Tensor]:
    """Name the example's inputs, and turn each into a tensor of a type that a graph takes.

    Parameters
    ----------
    example
        An array or tensor, or a mapping of them.
    inputs
        The signature, if it is stated. It names an only input, and says which values may be missing.

    Raises
    ------
    ExportError
        If an input has no rows, or values that are neither finite nor such as may be missing.
    """
    named = example if isinstance(example, Mapping) else {inputs[0].name if inputs else "x": example}
    stated = {spec.name: spec for spec in inputs or ()}
    tensors = {key: torch.as_tensor(value) for key, value in named.items()}
    for key, tensor in tensors.items():
        if tensor.ndim == 0 or len(tensor) == 0:
            raise ExportError(f"the example of {key} has no rows; its first axis is the row")
        if not (tensor.isfinite() | _missing(tensor, stated.get(key))).all():
            raise ExportError(f"the example of {key} holds values that are not finite; give ordinary rows")
    return {
        key: tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else _whole(tensor)
        for key, tensor in tensors.items()
    }


def _missing(tensor: Tensor, spec: Input | None) -> Tensor:
    """Find the missing values where the signature says that they may be missing."""
    features = (spec and spec.features) or ()
    if tensor.ndim != 2 or tensor.shape[1] != len(features):
        return torch.zeros_like(tensor, dtype=torch.bool)
    return tensor.isnan() & torch.tensor([feature.missing for feature in features])


def _whole(tensor: Tensor) -> Tensor:
    narrow = (torch.int8, torch.int16, torch.int32, torch.uint8, torch.bool)
    return tensor.long() if tensor.dtype in narrow else tensor


def a_few(named: Mapping[str, Tensor]) -> list[Tensor]:
    """Take 2 to `_EXAMPLES` rows: the tracer would treat a size of 1 as a constant."""
    return [
        torch.cat([tensor, tensor]) if len(tensor) == 1 else tensor[:_EXAMPLES] for tensor in named.values()
    ]


def with_gaps(rows: Sequence[Tensor], inputs: Sequence[Input] | None) -> list[Tensor]:
    """Add a row in which all is missing that may be, and one of unknown categories, behind the first two.

    The example may lack such rows, and the graphs are compared with the network on the rows that it has.
    """
    gaps = []
    for value, member in ((nan, "missing"), (OTHER, "other")):
        columns = [[getattr(feature, member) for feature in spec.features or ()] for spec in inputs or ()]
        if any(map(any, columns)):
            gaps.append([_filled(*pair, value) for pair in zip(rows, columns, strict=True)])
    return [torch.cat([own[:2], *more, own[2:]]) for own, *more in zip(rows, *gaps, strict=True)]


def _filled(rows: Tensor, columns: Sequence[bool], value: float) -> Tensor:
    """Copy the first row, with a value in some columns."""
    row = rows[:1].clone()
    if any(columns):
        row[:, torch.tensor(columns)] = value
    return row
