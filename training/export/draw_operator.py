"""The operator that stands for every random draw in a captured graph.

``caveat::draw(shape, site, kind, law, rate)`` is a placeholder: where a network draws at random, the
captured graph has this operator, followed by the network's arithmetic on the draw. When the passes are
traced, the draw becomes an input of the graph.
"""

import torch

LIBRARY = torch.library.Library("caveat", "FRAGMENT")
LIBRARY.define("draw(SymInt[] shape, int site, str kind, str law, float? rate) -> Tensor")


def _of_shape(shape: list[int], *_: object) -> torch.Tensor:
    return torch.empty(shape)


def _ones(shape: list[int], *_: object) -> torch.Tensor:
    return torch.ones(shape)


torch.library.register_fake("caveat::draw", _of_shape, lib=LIBRARY)
torch.library.impl("caveat::draw", "CompositeExplicitAutograd", _ones, lib=LIBRARY)

DRAW = torch.ops.caveat.draw.default
