"""``nn.EmbeddingBag`` as a look-up and a sum: PyTorch's operator concatenates the rows of a batch."""

from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import TorchFunctionMode

from caveat.training.errors import ExportError


class OpenBags(TorchFunctionMode):
    """A mode in which every entry of a bag is looked up by itself, and the entries are then summed."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Look up the entries of bags one by one; run everything else unchanged."""
        if func is F.embedding_bag:
            return _opened(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _opened(
    bags: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    del norm_type, scale_grad_by_freq, sparse, include_last_offset  # for training, or for offsets
    if bags.ndim != 2 or offsets is not None or max_norm is not None or padding_idx is not None:
        raise ExportError(
            "nn.EmbeddingBag with offsets, padding_idx or max_norm mixes the rows of a batch, or changes its "
            "weights; give it bags of shape (rows, entries), or use nn.Embedding and a sum over axis 1"
        )
    entries = F.embedding(bags, weight)
    if per_sample_weights is not None:
        entries = entries * per_sample_weights.unsqueeze(-1)
    return entries.amax(1) if mode == "max" else entries.sum(1) if mode == "sum" else entries.mean(1)
