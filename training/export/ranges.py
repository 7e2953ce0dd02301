"""The range of each free size in which a network's graphs are the network."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, fx, nn

from caveat.models.bundles.signature import ROWS, Input
from caveat.training.errors import ExportError
from caveat.training.export.guards import LEAST_TRACED, Guard, read
from caveat.training.export.reference import RunningStatistics
from caveat.training.export.sizes import Axes, at_sizes, example_sizes, least

_TRIED = 6  # sizes that violate a guard, on which the network is run beside its graph
_TOLERANCE = 1e-4
_FEW_VALUES = 2**20  # of inputs that any network can be run on


@dataclass(frozen=True)
class Range:
    """The sizes for which a trace holds.

    Parameters
    ----------
    least, most
        The bounds; a most of None is no limit.
    floor
        The size down to which the finished graphs may be tried: below ``least``, PyTorch's operators alone
        ask for larger sizes, often without a need.
    """

    least: int = LEAST_TRACED
    most: int | None = None
    floor: int = 1

    def within(self, least: int, most: int | None, own: bool) -> "Range":
        """Narrow the range by other bounds: the network's or its owner's own, or those of an operator."""
        mosts = [bound for bound in (self.most, most) if bound is not None]
        floor = max(self.floor, least) if own else self.floor
        return Range(max(self.least, least), min(mosts, default=None), floor)

    def some(self, size: int) -> list[int]:
        """List sizes to try beside an example's: even and odd ones, below and above, and at the bounds."""
        wanted = {self.least, self.least + 1, size - 1, size + 1, 2 * size, 2 * size + 1}
        most = 2 * size + 1 if self.most is None else min(self.most, 2 * size + 1)
        return sorted(number for number in {*wanted, most} - {size} if self.least <= number <= most)


class Traced:
    """A network in one mode, and the graph that was traced from it.

    Parameters
    ----------
    module, graph
        The network and its graph.
    """

    def __init__(self, module: nn.Module, graph: fx.GraphModule) -> None:
        self.graph = graph
        self._module = module
        self._answers: dict[tuple[int, ...], tuple[Tensor | None, Tensor | None]] = {}

    def answers(
        self, rows: Sequence[Tensor], axes: Axes, sizes: Mapping[str, int]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Give the answers of network and graph at other sizes than those of the rows; None for a failure."""
        key = tuple(sizes.values())
        if key not in self._answers:
            tensors = at_sizes(rows, axes, sizes)
            self._answers[key] = _run(self._module, tensors), _run(self.graph, tensors)
        return self._answers[key]


def ranges(traces: Sequence[Traced], rows: Sequence[Tensor], axes: Axes) -> dict[str, Range]:
    """Find the range of each free size, and refuse a network whose code chooses by sizes in another way.

    Parameters
    ----------
    traces
        The network in eval mode and in training mode, with its graphs.
    rows, axes
        Example inputs, and the names of their free sizes.

    Raises
    ------
    ExportError
        Naming the line of the network, and what to change.
    """
    sizes = example_sizes(rows, axes)
    found = {name: Range() for name in sizes}
    left = []
    for trace, guard in _guards(traces, axes):
        bounds = guard.run(sizes[guard.names[0]]) if len(guard.names) == 1 else None
        if bounds is None or guard.names == [ROWS]:
            left.append((trace, guard))
        else:
            (name,), (low, most) = guard.names, bounds
            needless = most is not None and not guard.own and _holds_past(trace, name, most, rows, axes)
            found[name] = found[name].within(low, None if needless else most, guard.own)
    limits = {name: (range_.least, range_.most) for name, range_ in found.items()}
    for trace, guard in left:
        for point in islice(guard.violations(limits, sizes), _TRIED):
            if not _holds_anyway(trace, guard, rows, axes, sizes | point):
                raise _other_branch(trace, guard, rows, axes, sizes, point)
    return {name: range_ for name, range_ in found.items() if name != ROWS}


def narrowed(
    found: Mapping[str, Range],
    inputs: Sequence[Input],
    module: nn.Module,
    rows: Sequence[Tensor],
    axes: Axes,
) -> dict[str, Range]:
    """Narrow ranges to the sizes that a signature states, and to those that the network runs on.

    Parameters
    ----------
    found
        The ranges, by name.
    inputs
        The signature; it may state no sizes.
    module, rows, axes
        The network, example inputs, and the names of their free sizes.
    """
    result = dict(found)
    for name, bounds in ((name, bounds) for spec in inputs for name, bounds in spec.sizes.items()):
        result[name] = result[name].within(*bounds, own=True)
    return {
        name: range_.within(least(module, rows, axes, name, range_.least), None, own=False)
        for name, range_ in result.items()
    }


def _guards(traces: Sequence[Traced], axes: Axes) -> Iterator[tuple[Traced, Guard]]:
    for trace in traces:
        for guard in read(trace.graph, axes):
            yield trace, guard


def _holds_anyway(
    trace: Traced, guard: Guard, rows: Sequence[Tensor], axes: Axes, sizes: Mapping[str, int]
) -> bool:
    """Tell whether the graph is right at sizes that violate a guard."""
    if _too_large(rows, axes, sizes):
        return not guard.own
    expected, found = trace.answers(rows, axes, sizes)
    if expected is None or found is None:
        return expected is found  # if neither runs, the service refuses such a request
    # An operator of PyTorch may choose between kernels that compute the same.
    return not guard.own and _are_close(found, expected)


def _holds_past(trace: Traced, name: str, most: int, rows: Sequence[Tensor], axes: Axes) -> bool:
    """Tell whether the graph answers as the network does past a greatest size that an operator asked for.

    An operator such as a pooling compares sizes to lay out its result in memory, which changes no answer.
    """
    for size in (most + 1, most + 2, 2 * most, 2 * most + 1):
        sizes = example_sizes(rows, axes) | {name: size}
        if _too_large(rows, axes, sizes):
            return False
        expected, found = trace.answers(rows, axes, sizes)
        if expected is None or found is None or not _are_close(found, expected):
            return False
    return True


def _too_large(rows: Sequence[Tensor], axes: Axes, sizes: Mapping[str, int]) -> bool:
    """Tell whether inputs of such sizes take much more memory than the example, which is known to fit."""
    values = 0
    for tensor, named in zip(rows, axes, strict=True):
        values += math.prod(
            sizes[named[axis]] if axis in named else size for axis, size in enumerate(tensor.shape)
        )
    return values > max(_FEW_VALUES, 16 * sum(tensor.numel() for tensor in rows))


def _are_close(found: Tensor, expected: Tensor) -> bool:
    allowed = _TOLERANCE * float(expected.abs().max())
    return found.shape == expected.shape and torch.allclose(found, expected, 0, allowed, equal_nan=True)


def _other_branch(
    trace: Traced,
    guard: Guard,
    rows: Sequence[Tensor],
    axes: Axes,
    example: Mapping[str, int],
    point: Mapping[str, int],
) -> ExportError:
    sizes = {**example, **point}
    here = " and ".join(_words(name, example[name], "the example's ") for name in point)
    there = " and ".join(_words(name, size) for name, size in point.items())
    if _too_large(rows, axes, sizes) or trace.answers(rows, axes, sizes)[0] is not None:
        what = f"the network takes another branch with {there} than with {here}, {guard.place}"
    else:
        what = f"the network refuses {there}, {guard.place}, and its graphs, which hold no `if`, would answer"
    return ExportError(f"{what}. {_advice(guard)}")


def _words(name: str, size: int, whose: str = "") -> str:
    if name == ROWS:
        return f"{whose}{size} rows"
    return f"{whose or 'a '}{name} of {size}"


def _advice(guard: Guard) -> str:
    one = "compute both branches and choose with torch.where, or do the same for every size"
    if ROWS in guard.names:
        return f"A request may have any number of rows, so {one}"
    if len(guard.names) > 1:
        equal = f"give both one name if {guard.expression} always holds, "
        return f"A bundle states no relation of sizes: {equal if '==' in guard.expression else ''}{one}"
    return (
        f"A bundle states the least and the greatest {guard.names[0]}, but no other condition: {one}, such "
        "as by padding always"
    )


def _run(module: nn.Module, rows: Sequence[Tensor]) -> Tensor | None:
    copies = [tensor.clone() for tensor in rows]  # a network may write into its inputs
    with torch.random.fork_rng(devices=[]), torch.no_grad(), RunningStatistics():
        torch.manual_seed(0)  # network and graph draw alike
        try:
            output: Tensor = module(*copies)
        except Exception:  # the user's code may raise anything
            return None
    return output
