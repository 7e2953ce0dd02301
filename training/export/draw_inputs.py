"""The draws of a network: one input of the graph of passes for each site."""

from collections.abc import Mapping, Sequence
from typing import Any

import sympy
import torch
from torch import Tensor, fx
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols

from caveat.models.bundles.dimension import check
from caveat.models.bundles.manifest import PASSES, Site
from caveat.models.draws.masks import draw
from caveat.training.errors import ExportError
from caveat.training.export.arithmetic import plain
from caveat.training.export.draw_operator import DRAW
from caveat.training.export.rows import RowAxis, Rows, place
from caveat.training.export.sites import Found

_EXAMPLE_PASSES = 3


class DrawInputs:
    """The draws of each site, found in a graph whose random operators are ``caveat::draw``.

    Parameters
    ----------
    graph, rows
        The functional graph, and the row axes of its values.
    sites
        The sites, by number.
    axes
        The names of the free sizes of each input, by axis.
    """

    def __init__(
        self, graph: fx.GraphModule, rows: Rows, sites: Sequence[Found], axes: Sequence[Mapping[int, str]]
    ) -> None:
        symbols = _symbols(graph, axes)
        self.hints: dict[str, int] = dict(symbols.values())
        """The sizes of the example, by name."""
        found: dict[int, tuple[Site, RowAxis | None]] = {}
        for node in graph.graph.nodes:
            if node.target is DRAW:
                _, number, kind, law, rate = node.args
                axis = rows.axis(node)
                shape = (PASSES, *_draw_shape(node, axis, rows, symbols))
                name, trained = sites[number].name, sites[number].trained
                site = Site(name=name, kind=kind, law=law, rate=rate, shape=shape, trained=trained)
                found[number] = (site, axis)
        self.sites = tuple(found[number][0] for number in sorted(found))
        self._row_axes = [found[number][1] for number in sorted(found)]

    @property
    def per_row(self) -> bool:
        """Whether PyTorch makes separate draws for every row, at all sites."""
        return all(axis is not None for axis in self._row_axes)

    def of_torch(self, row_count: int) -> list[tuple[int, ...]]:
        """Give the shape of PyTorch's own draw for ``row_count`` rows like the example's, by site."""
        shapes = []
        for site, axis in zip(self.sites, self._row_axes, strict=True):
            shape = [*site.shape_at(self.hints)]
            if axis is not None:
                shape[axis.position] *= row_count
            shapes.append(tuple(shape))
        return shapes

    def examples(self) -> dict[str, Tensor]:
        """Make draws to trace with, by site."""
        return {
            site.name: torch.from_numpy(draw(site, 0, 0, _EXAMPLE_PASSES, self.hints)) for site in self.sites
        }

    def axes(self) -> list[dict[int, str]]:
        """Name the free sizes of each site's draws."""
        return [
            {i: str(size) for i, size in enumerate(site.shape) if isinstance(size, str)}
            for site in self.sites
        ]

    def raw(self, draws: Sequence[Tensor], row_count: int) -> list[Tensor]:
        """Turn draws into those that PyTorch itself makes for ``row_count`` rows: a mask has 0 and 1."""
        return [
            _per_row(value.float(), axis, row_count)
            for axis, value in zip(self._row_axes, draws, strict=True)
        ]


def _symbols(graph: fx.GraphModule, axes: Sequence[Mapping[int, str]]) -> dict[Any, tuple[str, int]]:
    """Find the name of each symbol of the tracer, and its value in the example."""
    placeholders = [node for node in graph.graph.nodes if node.op == "placeholder"]
    symbols = {}
    for node, named in zip(placeholders, axes, strict=True):
        for axis, name in named.items():
            size = node.meta["val"].shape[axis]
            if isinstance(size, torch.SymInt):
                symbols[size.node.expr] = (name, int(size.node.hint))
    return symbols


def _draw_shape(
    node: fx.Node, axis: RowAxis | None, rows: Rows, symbols: Mapping[Any, tuple[str, int]]
) -> list[int | str]:
    shape: list[int | str] = []
    for position, size in enumerate(node.meta["val"].shape):
        if free_unbacked_symbols(size):
            raise ExportError(
                f"the number of draws depends on the values of a row {place(node)}, as after x[mask]. "
                "Draw for all values and choose among them afterwards"
            )
        if isinstance(size, int):
            shape.append(size)
            continue
        expression = size.node.expr
        if axis is not None and axis.position == position:
            expression = expression.subs(dict.fromkeys(rows.symbols, 1))
        shape.append(_written(expression, symbols, node))
    return shape


def _written(expression: Any, symbols: Mapping[Any, tuple[str, int]], node: fx.Node) -> int | str:
    renamed = expression.subs(
        {symbol: sympy.Symbol(name, integer=True) for symbol, (name, _) in symbols.items()}
    )
    if renamed.is_number:
        return int(renamed)
    size = plain(str(renamed))
    try:
        check(size, {name for name, _ in symbols.values()})
    except ValueError as error:
        raise ExportError(
            f"the number of draws follows from a free size {place(node)}: {error}. Compute that size with "
            "+, -, *, // and % alone, or leave it out of the free sizes"
        ) from None
    return size


def _per_row(value: Tensor, axis: RowAxis | None, row_count: int) -> Tensor:
    """Repeat a draw for every row if rows share an axis with other entries; others are broadcast."""
    if axis is None or not axis.shared:
        return value
    position = 1 + axis.position + (0 if axis.outer else 1)
    split = value.unsqueeze(position)
    sizes = [-1] * split.ndim
    sizes[position] = row_count
    return split.expand(*sizes).flatten(1 + axis.position, 2 + axis.position)
