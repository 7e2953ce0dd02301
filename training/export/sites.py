"""The places of a captured graph that draw at random, named for people."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx

from caveat.training.export.errors import ExportError
from caveat.training.export.randomness import REWRITES, is_random, may_draw, rate_of
from caveat.training.export.rows import place

NETWORK = "network."
"""Where the user's network stands in what is captured."""


@dataclass(frozen=True)
class Found:
    """A node that draws at random or could, and the name that its site gets.

    ``trained`` tells whether the network itself has it, at this rate.
    """

    name: str
    node: fx.Node
    trained: bool = True


Rates = Mapping[fx.Node, float | None]
"""The rates of dropouts, and None for other operators that draw."""


def find_sites(graph: fx.GraphModule, trained: Rates | None = None) -> list[Found]:
    """Find every random operator and every dropout, on or off, in the order in which they run.

    Parameters
    ----------
    trained
        The rates that the network itself has; by default those that it has now.
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
        For a random operator that Caveat has no rule for, with its place in the source.
    """
    drawing = [site for site in found if is_random(site.node)]
    for site in drawing:
        if site.node.target not in REWRITES:
            raise ExportError(
                f"{site.node.target} draws at random {place(site.node)}, and Caveat can't make that an input "
                "of the graph; write it with dropout, torch.bernoulli, torch.rand or torch.randn, or turn it "
                "off"
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
