"""A captured graph with its random operators rewritten as ``caveat::draw`` and arithmetic."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, fx, nn
from torch.fx.traceback import preserve_node_meta

from caveat.models.bundles.manifest import Law
from caveat.training.export.draw_operator import DRAW
from caveat.training.export.randomness import REWRITES, SWITCHED
from caveat.training.export.sites import Found


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
        if n.target in SWITCHED:
            (x, rate, train), _ = self.fetch_args_kwargs_from_env(n)
            return x * 0 if train and rate == 1 else x
        return super().run_node(n)

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
