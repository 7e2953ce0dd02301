"""The sizes for which a traced graph is the network: what the tracer assumed of sizes as it took branches.

A trace holds the branches that the network took with the example, and so do the graphs of a bundle. The
tracer notes a guard for each choice that depended on a size, such as ``length <= 20``. Guards that bound one
size alone are stated in the signature; any other must hold for all sizes within these bounds.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any

import sympy
import torch
from torch import fx
from torch._guards import SLoc
from torch.utils._sympy.printers import PythonPrinter

from caveat.training.export.sizes import Axes

LEAST_TRACED = 2
"""The tracer takes sizes of 1 for constants, and assumes that a free size is at least 2."""

_DENSE = 4096  # sizes up to which every one is tried
_SPARSE = [2**power + off for power in range(12, 31) for off in (-1, 0, 1)]
_MOST_POINTS = 2000
_LARGEST_POINT = 2**24  # most product of the sizes of a point: the rows of more values fit no memory


@dataclass(frozen=True)
class Guard:
    """What a trace assumes of sizes.

    Parameters
    ----------
    condition, code, expression
        The condition, the same as Python, and as text with the names of the sizes.
    symbols
        Name of each symbol in ``code``.
    place
        The line of the network's source that the guard comes from.
    own
        Whether that line itself made the choice, rather than an operator of PyTorch that it calls.
    """

    condition: Any
    code: CodeType
    expression: str
    symbols: Mapping[str, str]
    place: str
    own: bool

    @property
    def names(self) -> list[str]:
        """Names of the sizes that the guard is about."""
        return sorted(set(self.symbols.values()))

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Tell whether the trace holds at the given sizes, as far as this guard says."""
        values = {symbol: sizes[name] for symbol, name in self.symbols.items()}
        try:
            return bool(eval(self.code, {"math": math, "torch": torch}, values))  # noqa: S307
        except (ArithmeticError, ValueError):
            return False
        except NameError:  # a function of sizes that PyTorch's printer does not write as Python
            numbers = {symbol: sympy.Integer(values[str(symbol)]) for symbol in self.condition.free_symbols}
            return bool(self.condition.xreplace(numbers) == sympy.true)

    def run(self, size: int) -> tuple[int, int | None] | None:
        """Find the least and greatest value of the guard's one size between which it holds.

        Parameters
        ----------
        size
            The size of the example, which lies between them.

        Returns
        -------
        tuple or None
            The greatest is None if there is no limit, and the least 1. None in place of both if the guard
            holds at other sizes too, so that bounds do not say it.
        """
        (name,) = self.names
        values = sorted(
            {*range(LEAST_TRACED, _DENSE), *_SPARSE, *range(max(LEAST_TRACED, size - 64), size + 65)}
        )
        held = [value for value in values if self.holds({name: value})]
        below = max((value for value in set(values).difference(held) if value < size), default=None)
        above = min((value for value in set(values).difference(held) if value > size), default=None)
        if any(value < (below or 0) or (above is not None and value > above) for value in held):
            return None
        least = 1 if below is None else self._edge(name, size, below)
        return least, None if above is None else self._edge(name, size, above)

    def _edge(self, name: str, inside: int, outside: int) -> int:
        while abs(inside - outside) > 1:
            middle = (inside + outside) // 2
            inside, outside = (middle, outside) if self.holds({name: middle}) else (inside, middle)
        return inside

    def violations(
        self, bounds: Mapping[str, tuple[int, int | None]], example: Mapping[str, int]
    ) -> Iterator[dict[str, int]]:
        """Find sizes within the bounds for which the guard does not hold, small ones first."""
        names = self.names
        each = max(4, int(_MOST_POINTS ** (1 / len(names))))
        tried = [_some(*bounds[name], example[name], each) for name in names]
        points = sorted(itertools.product(*tried), key=math.prod)
        for point in points:
            sizes = dict(zip(names, point, strict=True))
            if math.prod(point) <= _LARGEST_POINT and not self.holds(sizes):
                yield sizes


def read(graph: fx.GraphModule, axes: Axes) -> list[Guard]:
    """Read the guards of a captured graph, each once.

    Parameters
    ----------
    graph
        A graph as the tracer made it.
    axes
        The names of the free sizes of each input, by axis; axis 0 holds the rows.
    """
    placeholders = [node for node in graph.graph.nodes if node.op == "placeholder"]
    symbols: dict[Any, str] = {}
    noted: dict[Any, SLoc] = {}
    for node, named in zip(placeholders, axes, strict=True):
        for axis, name in named.items():
            size = node.meta["val"].shape[axis]
            if isinstance(size, torch.SymInt):
                symbols[size.node._expr] = name  # without the tracer's replacements of equal sizes
                for guard in size.node.shape_env.guards:
                    noted.setdefault(guard.expr, guard.sloc)
    return [
        _guard(expression, sloc, symbols)
        for expression, sloc in noted.items()
        if expression.free_symbols and expression.free_symbols <= symbols.keys()
    ]


def _guard(expression: Any, sloc: SLoc, symbols: Mapping[Any, str]) -> Guard:
    used = {symbol: symbols[symbol] for symbol in expression.free_symbols}
    printer = PythonPrinter()
    renamed = expression.xreplace({one: sympy.Symbol(name, integer=True) for one, name in used.items()})
    return Guard(
        expression,
        compile(printer.doprint(expression), "<guard>", "eval"),
        printer.doprint(renamed),
        {str(symbol): name for symbol, name in used.items()},
        sloc.maybe_user_loc or str(sloc.framework_loc),
        sloc.framework_loc == sloc.maybe_user_loc,
    )


def _some(least: int, most: int | None, example: int, count: int) -> list[int]:
    """List about ``count`` values within bounds: the smallest, the example's neighbours, then larger ones."""
    most = 2**20 if most is None else most
    near = [*range(example - 2, example + 3), least, least + 1, most - 1, most]
    small = range(least, least + max(2, count // 2))
    wanted = [*near, *small, *(2**power + off for power in range(3, 20) for off in (1, 0))]
    kept = dict.fromkeys(value for value in wanted if least <= value <= most)
    return sorted(itertools.islice(kept, count))
