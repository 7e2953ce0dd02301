"""The user's choice of the sites that are random, and of their rates."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import fx

from caveat.training.errors import ExportError
from caveat.training.export.randomness import is_random, rate_of, set_rate
from caveat.training.export.sites import NETWORK, Found

aten = torch.ops.aten


def insert(graph: fx.GraphModule, rates: Mapping[str, float]) -> None:
    """Insert a dropout after every operator of a name, or after every module that matches a pattern.

    Parameters
    ----------
    graph
        The captured network, which is changed.
    rates
        Rates of the dropouts, by the operator's name or the pattern of modules.

    Raises
    ------
    ExportError
        If no operator and no module matches.
    """
    for pattern, rate in rates.items():
        matches = _after(graph, pattern)
        if not matches:
            raise ExportError(f"--insert {pattern}: no operator and no module of the network has that name")
        for node in matches:
            users = list(node.users)
            with graph.graph.inserting_after(node):
                dropout = graph.graph.call_function(aten.dropout.default, (node, rate, True))
            dropout.meta = dict(node.meta)
            for user in users:
                user.replace_input_with(node, dropout)


def _after(graph: fx.GraphModule, pattern: str) -> list[fx.Node]:
    by_operator, last_of_module = [], {}
    for node in graph.graph.nodes:
        if node.op != "call_function" or not isinstance(node.meta.get("val"), torch.Tensor):
            continue
        if (
            isinstance(node.target, torch._ops.OpOverload)
            and node.target._schema.name.split("::")[1].strip("_") == pattern
        ):
            by_operator.append(node)
        for path, _ in node.meta.get("nn_module_stack", {}).values():
            if path and fnmatchcase(path.removeprefix(NETWORK), pattern):
                last_of_module[path] = node
    return by_operator or list(last_of_module.values())


def change_rates(found: Sequence[Found], rates: Mapping[str, float]) -> None:
    """Set the rate of every dropout that matches a pattern, on or off.

    Raises
    ------
    ExportError
        If no dropout matches.
    """
    dropouts = [site for site in found if rate_of(site.node) is not None]
    for pattern, rate in rates.items():
        if not 0 <= rate < 1:
            raise ExportError(f"--rate {pattern}={rate}: a rate is at least 0 and below 1")
        for site in _matching(dropouts, pattern, "--rate"):
            set_rate(site.node, rate)


def keep_only(found: Sequence[Found], patterns: Sequence[str]) -> None:
    """Switch off every dropout that matches no pattern; ``last`` stands for the last dropout that is on.

    Raises
    ------
    ExportError
        If a pattern matches no site, or a site that must be off has no switch.
    """
    drawing = [site for site in found if is_random(site.node)]
    kept: list[Found] = []
    for pattern in patterns:
        kept += drawing[-1:] if pattern == "last" else _matching(drawing, pattern, "--sites")
    for site in drawing:
        if site not in kept:
            if rate_of(site.node) is None:
                raise ExportError(
                    f"--sites: {site.name} is drawn by the network's own code and can't be switched off"
                )
            set_rate(site.node, 0.0)


def _matching(found: Sequence[Found], pattern: str, option: str) -> list[Found]:
    matches = [site for site in found if fnmatchcase(site.name, pattern)]
    if not matches:
        names = ", ".join(site.name for site in found) or "none"
        raise ExportError(f"{option} {pattern}: no dropout of the network has that name; it has {names}")
    return matches
