"""A captured graph with its random operators rewritten as ``caveat::draw`` and arithmetic."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.traceback import preserve_node_meta

from caveat.models.bundles.manifest import Law
from caveat.training.export.draw_operator import DRAW
from caveat.training.export.randomness import REWRITES, SWITCHED, rate_of
from caveat.training.export.sites import Found

aten = torch.ops.aten


class Rewritten(nn.Module):
    """The captured network with its sites rewritten."""

    def __init__(self, graph: fx.GraphModule, sites: Sequence[Found]) -> None:
        super().__init__()
        self.network = graph
        self.sites = sites
        for part in self.modules():
            part.training = False

    def forward(self, *inputs: Tensor) -> Any:
        """Run the network."""
        with preserve_node_meta():  # each node keeps its place in the user's source
            return _Rewriter(self.network, {site.node: i for i, site in enumerate(self.sites)}).run(*inputs)


class _Rewriter(fx.Interpreter):
    def __init__(self, graph: fx.GraphModule, sites: Mapping[fx.Node, int]) -> None:
        super().__init__(graph)
        self._sites = sites

    def run_node(self, n: fx.Node) -> Any:
        if n in self._sites:
            with self._set_current_node(n):
                return self._rewrite(n)
        rate = rate_of(n) if n.op == "call_function" else None
        if rate == 1:
            return self._all_dropped(n)
        if n.target is aten.resize_.default:  # of an empty tensor, which the tracer can't follow
            (x, size, *_), _ = self.fetch_args_kwargs_from_env(n)
            return x.new_empty(size)
        if n.target in SWITCHED:
            return self.fetch_args_kwargs_from_env(n)[0][0]
        return super().run_node(n)

    def _all_dropped(self, n: fx.Node) -> Any:
        """Run a dropout of rate 1, which draws nothing: it multiplies by 0."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        if n.target not in SWITCHED:
            return REWRITES[n.target](lambda *_: args[2].new_zeros(()), *args, **kwargs)
        return args[0].mul_(0) if n.target._schema.is_mutable else args[0] * 0

    def _rewrite(self, n: fx.Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        site = self._sites[n]

        def draw(kind: str, law: Law, shape: Sequence[int], rate: float | None = None) -> Tensor:
            drawn: Tensor = DRAW(shape, site, kind, law, rate)
            return drawn

        value = REWRITES[n.target](draw, *args, **kwargs)
        if n.target._schema.is_mutable:  # type: ignore[union-attr]
            return args[0].copy_(value)
        return value
