"""The example that an export is given."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from caveat.training.errors import ExportError

_EXAMPLES = 8  # most rows of the example that are used


def by_name(example: Any, only: str) -> dict[str, Tensor]:
    """Name the example's inputs, and turn each into a tensor of a type that a graph takes.

    Parameters
    ----------
    example
        An array or tensor, or a mapping of them.
    only
        Name of the input if there is one.

    Raises
    ------
    ExportError
        If an input has no rows, or values that are not finite.
    """
    named = example if isinstance(example, Mapping) else {only: example}
    tensors = {key: torch.as_tensor(value) for key, value in named.items()}
    for key, tensor in tensors.items():
        if tensor.ndim == 0 or len(tensor) == 0:
            raise ExportError(f"the example of {key} has no rows; its first axis is the row")
        if not tensor.isfinite().all():
            raise ExportError(f"the example of {key} holds values that are not finite; give ordinary rows")
    return {
        key: tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else _whole(tensor)
        for key, tensor in tensors.items()
    }


def _whole(tensor: Tensor) -> Tensor:
    narrow = (torch.int8, torch.int16, torch.int32, torch.uint8, torch.bool)
    return tensor.long() if tensor.dtype in narrow else tensor


def a_few(named: Mapping[str, Tensor]) -> list[Tensor]:
    """Take 2 to `_EXAMPLES` rows: the tracer would treat a size of 1 as a constant."""
    return [
        torch.cat([tensor, tensor]) if len(tensor) == 1 else tensor[:_EXAMPLES] for tensor in named.values()
    ]
