"""The places of a captured graph that draw at random, with readable names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx

from caveat.training.errors import ExportError
from caveat.training.export.randomness import REWRITES, is_random, may_draw, rate_of
from caveat.training.export.rows import place

NETWORK = "network."
"""Prefix of the user's modules in the names of a captured graph."""


@dataclass(frozen=True)
class Found:
    """A node that draws at random, or is a dropout that is off, with the name of its site.

    ``trained`` tells whether the network itself has this dropout, at this rate.
    """

    name: str
    node: fx.Node
    trained: bool = True


Rates = Mapping[fx.Node, float | None]
"""Rates of dropouts; None for other random operators."""


def find_sites(graph: fx.GraphModule, trained: Rates | None = None) -> list[Found]:
    """Find every random operator and every dropout, on or off, in the order of the run.

    Parameters
    ----------
    graph
        The captured graph.
    trained
        Rates of the network itself; by default those in the graph.
    """
    found: list[Found] = []
    taken: set[str] = set()
    for node in graph.graph.nodes:
        if may_draw(node):
            name = _unique(_name(node), taken)
            taken.add(name)
            own = trained is None or (node in trained and trained[node] == rate_of(node))
            found.append(Found(name, node, own))
    return found


def active(found: Sequence[Found]) -> list[Found]:
    """Keep the sites that draw.

    Raises
    ------
    ExportError
        If Caveat has no rule for a random operator; with the operator's place in the source.
    """
    drawing = [site for site in found if is_random(site.node)]
    for site in drawing:
        if site.node.target not in REWRITES:
            raise ExportError(
                f"{site.node.target} draws at random {place(site.node)}, and Caveat can't make its draw an "
                "input of the graph; draw with dropout, torch.bernoulli, torch.rand or torch.randn, or turn "
                "it off"
            )
    return drawing


def _name(node: fx.Node) -> str:
    """Name a draw after its module, as `nn.Module.named_modules` does, and its operator."""
    stack: list[Any] = list(node.meta.get("nn_module_stack", {}).values())
    path, kind = stack[-1] if stack else ("", "")
    kind = kind if isinstance(kind, str) else kind.__name__
    operator = node.target._schema.name.split("::")[1].strip("_")  # type: ignore[union-attr]
    operator = {"scaled_dot_product_attention": "attention"}.get(operator, operator)
    is_dropout = "dropout" in kind.rsplit(".", 1)[-1].lower()
    parts = [path] if is_dropout and path else [path, operator]
    name = ".".join(part for part in parts if part).removeprefix(NETWORK)
    return re.sub(r"[^A-Za-z0-9_.]", "_", name)


def _unique(name: str, taken: set[str]) -> str:
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate
