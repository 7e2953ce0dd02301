"""The operators that stand for random draws in a graph, and for the scale of a mask.

``caveat::draw(shape, site, kind, law, rate)`` is a placeholder: where a network draws at random, the
captured graph has this operator, followed by the network's arithmetic on the draw. When the passes are
traced, the draw becomes an input of the graph.

``caveat::scaled(mask, scale)`` turns a mask of bytes into numbers. ONNX's DequantizeLinear does so in one
step, with the bits of a cast and a product.
"""

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import opset20

LIBRARY = torch.library.Library("caveat", "FRAGMENT")
LIBRARY.define("draw(SymInt[] shape, int site, str kind, str law, float? rate) -> Tensor")
LIBRARY.define("scaled(Tensor mask, float scale) -> Tensor")


def _of_shape(shape: list[int], *_: object) -> torch.Tensor:
    return torch.empty(shape)


def _ones(shape: list[int], *_: object) -> torch.Tensor:
    return torch.ones(shape)


def _scaled(mask: torch.Tensor, scale: float) -> torch.Tensor:
    return mask.float() * scale


torch.library.register_fake("caveat::draw", _of_shape, lib=LIBRARY)
torch.library.impl("caveat::scaled", "CompositeExplicitAutograd", _scaled, lib=LIBRARY)
torch.library.register_fake("caveat::scaled", _scaled, lib=LIBRARY)
torch.library.impl("caveat::draw", "CompositeExplicitAutograd", _ones, lib=LIBRARY)

DRAW = torch.ops.caveat.draw.default

SCALED = torch.ops.caveat.scaled.default

_op: Any = opset20


def _dequantized(mask: Any, scale: float) -> Any:
    return _op.DequantizeLinear(mask, _op.Constant(value_float=scale))


TRANSLATIONS: dict[Any, Callable[..., Any]] = {SCALED: _dequantized}
"""The translations of these operators to ONNX."""
