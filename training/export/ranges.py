"""The range of each free size in which a network's graphs are the network."""

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


@dataclass(frozen=True)
class Traced:
    """A network in one mode, and the graph that was traced from it."""

    module: nn.Module
    graph: fx.GraphModule

    def runs(self, rows: Sequence[Tensor]) -> tuple[bool, bool]:
        """Tell whether the network runs on rows, and whether its graph does."""
        return _run(self.module, rows) is not None, _run(self.graph, rows) is not None

    def agree(self, rows: Sequence[Tensor]) -> bool:
        """Tell whether graph and network answer alike, or neither runs."""
        expected, found = _run(self.module, rows), _run(self.graph, rows)
        if expected is None or found is None:
            return expected is found
        allowed = _TOLERANCE * float(expected.abs().max())
        return found.shape == expected.shape and torch.allclose(found, expected, 0, allowed, equal_nan=True)


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
            name = guard.names[0]
            found[name] = found[name].within(*bounds, guard.own)
    limits = {name: (range_.least, range_.most) for name, range_ in found.items()}
    for trace, guard in left:
        for point in islice(guard.violations(limits, sizes), _TRIED):
            _refuse_other_branches(trace, guard, at_sizes(rows, axes, sizes | point), point, sizes)
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


def _refuse_other_branches(
    trace: Traced, guard: Guard, rows: Sequence[Tensor], point: Mapping[str, int], example: Mapping[str, int]
) -> None:
    network_runs, graph_runs = trace.runs(rows)
    if not network_runs and not graph_runs:  # then the service refuses such a request
        return
    # An operator of PyTorch may choose between kernels that compute the same.
    if not guard.own and trace.agree(rows):
        return
    here = " and ".join(_words(name, example[name], "the example's ") for name in point)
    there = " and ".join(_words(name, size) for name, size in point.items())
    if network_runs:
        what = f"the network takes another branch with {there} than with {here}, {guard.place}"
    else:
        what = f"the network refuses {there}, {guard.place}, and its graphs, which hold no `if`, would answer"
    raise ExportError(f"{what}. {_advice(guard)}")


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
