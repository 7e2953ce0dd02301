"""Every random operator of PyTorch, rewritten as arithmetic on a draw.

There is one function for each operator. It takes a ``Drawer``, which makes the next draw of a law, rate and
shape, and the operator's own arguments.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, fx

from caveat.models.bundles.manifest import Law

aten = torch.ops.aten


class Drawer(Protocol):
    """Makes draws for the operator that is rewritten."""

    def __call__(self, kind: str, law: Law, shape: Sequence[int], rate: float | None = None) -> Tensor:
        """Make the next draw, of a kind of operator and a law."""


def _dropout(draw: Drawer, x: Tensor, p: float, _train: bool) -> Tensor:
    return x * draw("dropout", "keep", x.shape, p)


def _feature_dropout(draw: Drawer, x: Tensor, p: float, _train: bool) -> Tensor:
    return x * draw("feature_dropout", "keep", _channels(x), p)


def _alpha_dropout(draw: Drawer, x: Tensor, p: float, _train: bool) -> Tensor:
    return _self_normalising(x, draw("alpha_dropout", "bernoulli", x.shape, p), p)


def _feature_alpha_dropout(draw: Drawer, x: Tensor, p: float, _train: bool) -> Tensor:
    return _self_normalising(x, draw("feature_alpha_dropout", "bernoulli", _channels(x), p), p)


def _channels(x: Tensor) -> list[int]:
    return [x.shape[0], x.shape[1], *[1] * (x.ndim - 2)]


def _self_normalising(x: Tensor, keep: Tensor, p: float) -> Tensor:
    # Klambauer et al., "Self-normalizing neural networks", 2017, section "New dropout technique":
    # dropped units take the value -alpha', then an affine map restores mean and variance.
    alpha = 1.7580993408473766
    a = 1 / math.sqrt((alpha * alpha * p + 1) * (1 - p))
    return x * (keep * a) + ((keep - 1) * (alpha * a) + alpha * a * p)


def _attention(
    draw: Drawer,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    scores = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        visible = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool).tril()
        scores = scores.masked_fill(~visible, -math.inf)
    if attn_mask is not None:
        scores = (
            scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
        )
    weights = scores.softmax(-1)
    return weights * draw("attention", "keep", weights.shape, dropout_p) @ value


def _bernoulli_p(draw: Drawer, x: Tensor, p: float = 0.5, **_: object) -> Tensor:
    return draw("bernoulli", "bernoulli", x.shape, 1 - p).to(x.dtype)


def _bernoulli(draw: Drawer, p: Tensor, **_: object) -> Tensor:
    return (draw("bernoulli", "uniform", p.shape) < p).to(p.dtype)


def _bernoulli_tensor(draw: Drawer, x: Tensor, p: Tensor, **_: object) -> Tensor:
    return (draw("bernoulli", "uniform", x.shape) < p).to(x.dtype)


def _uniform_like(draw: Drawer, x: Tensor, low: float = 0.0, high: float = 1.0, **_: object) -> Tensor:
    return draw("uniform", "uniform", x.shape) * (high - low) + low


def _normal_like(draw: Drawer, x: Tensor, mean: float = 0.0, std: float = 1.0, **_: object) -> Tensor:
    return draw("normal", "normal", x.shape) * std + mean


def _rand_like(draw: Drawer, x: Tensor, **_: object) -> Tensor:
    return draw("uniform", "uniform", x.shape)


def _randn_like(draw: Drawer, x: Tensor, **_: object) -> Tensor:
    return draw("normal", "normal", x.shape)


def _rand(draw: Drawer, size: Sequence[int], **_: object) -> Tensor:
    return draw("uniform", "uniform", size)


def _randn(draw: Drawer, size: Sequence[int], **_: object) -> Tensor:
    return draw("normal", "normal", size)


def _normal_sized(draw: Drawer, mean: float, std: float, size: Sequence[int], **_: object) -> Tensor:
    return draw("normal", "normal", size) * std + mean


def _normal_around(draw: Drawer, mean: Tensor, std: Tensor | float = 1.0, **_: object) -> Tensor:
    shape = torch.broadcast_tensors(mean, std)[0].shape if isinstance(std, Tensor) else mean.shape
    return mean + std * draw("normal", "normal", shape)


def _normal_wide(draw: Drawer, mean: float, std: Tensor, **_: object) -> Tensor:
    return mean + std * draw("normal", "normal", std.shape)


REWRITES: dict[Any, Callable[..., Tensor]] = {
    aten.dropout.default: _dropout,
    aten.dropout_.default: _dropout,
    aten.feature_dropout.default: _feature_dropout,
    aten.feature_dropout_.default: _feature_dropout,
    aten.alpha_dropout.default: _alpha_dropout,
    aten.alpha_dropout_.default: _alpha_dropout,
    aten.feature_alpha_dropout.default: _feature_alpha_dropout,
    aten.feature_alpha_dropout_.default: _feature_alpha_dropout,
    aten.scaled_dot_product_attention.default: _attention,
    aten.bernoulli.default: _bernoulli,
    aten.bernoulli.p: _bernoulli_p,
    aten.bernoulli_.float: _bernoulli_p,
    aten.bernoulli_.Tensor: _bernoulli_tensor,
    aten.rand.default: _rand,
    aten.rand_like.default: _rand_like,
    aten.uniform_.default: _uniform_like,
    aten.randn.default: _randn,
    aten.randn_like.default: _randn_like,
    aten.normal_.default: _normal_like,
    aten.normal.float_float: _normal_sized,
    aten.normal.Tensor_float: _normal_around,
    aten.normal.Tensor_Tensor: _normal_around,
    aten.normal.float_Tensor: _normal_wide,
}
"""The rewriting function of each random operator."""

SWITCHED = {
    aten.dropout.default,
    aten.dropout_.default,
    aten.feature_dropout.default,
    aten.feature_dropout_.default,
    aten.alpha_dropout.default,
    aten.alpha_dropout_.default,
    aten.feature_alpha_dropout.default,
    aten.feature_alpha_dropout_.default,
}
"""Dropouts that have a rate and a switch; when off, they give their input."""


def rate_of(node: fx.Node) -> float | None:
    """Give the rate of a dropout, which is 0 if it is switched off; None for any other operator."""
    if node.target in SWITCHED:
        _, rate, train = node.args
        return float(rate) if train else 0.0  # type: ignore[arg-type]
    if node.target is aten.scaled_dot_product_attention.default:
        rate = node.args[4] if len(node.args) > 4 else node.kwargs.get("dropout_p", 0.0)
        return float(rate)  # type: ignore[arg-type]
    return None


def set_rate(node: fx.Node, rate: float) -> None:
    """Change the rate of a dropout."""
    if node.target in SWITCHED:
        node.args = (node.args[0], rate, True)
    elif len(node.args) > 4:
        node.args = (*node.args[:4], rate, *node.args[5:])
    else:
        node.kwargs = {**node.kwargs, "dropout_p": rate}


def may_draw(node: fx.Node) -> bool:
    """Tell whether a node draws at random, or is a dropout that is off."""
    return is_random(node) or (node.op == "call_function" and rate_of(node) is not None)


def is_random(node: fx.Node) -> bool:
    """Tell whether a node draws at random when it runs."""
    if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
        return False
    rate = rate_of(node)
    if rate is not None:
        return 0 < rate < 1
    if node.target is aten.rrelu.default:
        return bool(node.args[3]) if len(node.args) > 3 else False
    return torch.Tag.nondeterministic_seeded in node.target.tags
