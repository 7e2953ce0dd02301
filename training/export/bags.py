"""Embeddings as plain look-ups: PyTorch's operators concatenate bags, or write into the weights."""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import TorchFunctionMode

from caveat.training.errors import ExportError


class PlainEmbeddings(TorchFunctionMode):
    """A mode in which every entry of a bag is looked up by itself, and only what is looked up is scaled."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Look up embeddings one by one; run everything else unchanged."""
        if func is F.embedding_bag:
            return _opened(*args, **(kwargs or {}))
        if func is F.embedding:
            return _embedded(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _embedded(
    entries: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    del padding_idx, scale_grad_by_freq, sparse  # for training
    found = F.embedding(entries, weight)
    if max_norm is None:
        return found
    norms = found.norm(norm_type, -1, keepdim=True)
    return torch.where(norms > max_norm, found * (max_norm / (norms + 1e-7)), found)


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
    del scale_grad_by_freq, sparse, include_last_offset  # for training, or for offsets
    if bags.ndim != 2 or offsets is not None:
        raise ExportError(
            "nn.EmbeddingBag with offsets puts the bags of all rows into one tensor; give it bags of shape "
            "(rows, entries), filled up with its padding_idx where they have fewer entries"
        )
    entries = _embedded(bags, weight, max_norm=max_norm, norm_type=norm_type)
    if per_sample_weights is not None:
        entries = entries * per_sample_weights.unsqueeze(-1)
    if padding_idx is None:
        return entries.amax(1) if mode == "max" else entries.sum(1) if mode == "sum" else entries.mean(1)
    padded = (bags == padding_idx % weight.shape[0]).unsqueeze(-1)
    count = (~padded).to(entries.dtype).sum(1)
    if mode == "max":
        most = entries.masked_fill(padded, -torch.inf).amax(1)
        return most.masked_fill(count == 0, 0.0)  # as PyTorch answers for an empty bag
    total = entries.masked_fill(padded, 0.0).sum(1)
    return total if mode == "sum" else total / count.clamp(min=1)
