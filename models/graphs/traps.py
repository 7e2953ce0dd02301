"""Operators that end the process on some values: refused, or held to sound operands.

A division of the least integer by -1 has no result in the type, and a processor stops the program at it.
The other operators read outside their arrays, divide by a size of zero, or count to 2**63. All were found by
running each operator of ONNX Runtime on extreme values.
"""

from collections.abc import Callable, Mapping
from typing import Final

from caveat.models.graphs.graph import FLOAT, INT32, INT64, Graph, Name, Node, Type
from caveat.models.graphs.scope import Scope

_LARGEST_WINDOW: Final = 2**20


def refuse(graph: Graph, outer: Scope | None = None) -> list[Type]:
    """Refuse a graph in which an operator could end the process.

    Parameters
    ----------
    graph
        A graph.
    outer
        The scope around it, if the graph is one within a node.

    Returns
    -------
    list of Type
        Types of the graph's outputs.

    Raises
    ------
    ValueError
        Naming the operator, and what is wrong with it.
    """
    scope = Scope(graph, outer)
    for node in graph.nodes:
        inner = [refuse(each, scope) for each in node.graphs]
        if node.operator in _FAULTS and (fault := _FAULTS[node.operator](node, scope)):
            raise ValueError(f"{fault}, with {node.operator}, which can end the process")
        scope.add(node, inner)
    return [scope.type(name) for name in graph.outputs]


def _division(node: Node, scope: Scope) -> str | None:
    if any(scope.type(name) not in (0, INT32, INT64) for name in node.inputs):
        return None  # both operands have one type
    return None if _never_minus_one(node.input(1), scope) else "divides integers by what may be -1"


def _never_minus_one(name: Name, scope: Scope) -> bool:
    """Tell whether -1 is never among some integers: constants, or ``Where(x == -1, constants, x)``."""
    constant = scope.constant(name)
    if constant is not None:
        return constant.integers is not None and not (constant.integers == -1).any()
    where = scope.maker(name)
    if where is None or where.operator != "Where":
        return False
    condition, instead, otherwise = (where.input(index) for index in range(3))
    equal = scope.maker(condition)
    if equal is None or equal.operator != "Equal" or otherwise not in equal.inputs:
        return False
    others = [name for name in equal.inputs if name != otherwise]
    found = scope.constant(others[0]) if len(others) == 1 else None
    return (
        found is not None
        and found.integers is not None
        and bool((found.integers == -1).all())
        and scope.constant(instead) is not None
        and _never_minus_one(instead, scope)
    )


def _spectrum(node: Node, scope: Scope) -> str | None:
    for name in (node.input(1), node.input(3)):
        constant = scope.constant(name)
        integers = None if constant is None else constant.integers
        if name and (integers is None or ((integers < 1) | (integers > _LARGEST_WINDOW)).any()):
            return f"takes spectra of windows or steps that are no constants from 1 to {_LARGEST_WINDOW}"
    return None


def _normalization(node: Node, scope: Scope) -> str | None:
    return None if scope.type(node.input(0)) == FLOAT else "normalizes what is not float32"


def _entries(node: Node, _: Scope) -> str | None:
    shared = node.attributes.get(b"batch_dims", 0)
    return None if isinstance(shared, int) and 0 <= shared < 8 else "has batch axes that are not from 0 to 7"


def _windows(node: Node, _: Scope) -> str | None:
    shape = node.attributes.get(b"kernel_shape", ())
    sound = isinstance(shape, tuple) and all(0 < size <= _LARGEST_WINDOW for size in shape)
    return None if sound else f"has windows that are not between 1 and {_LARGEST_WINDOW} long"


def _crop(node: Node, _: Scope) -> str | None:
    mode = node.attributes.get(b"coordinate_transformation_mode")
    return "crops" if mode == b"tf_crop_and_resize" else None


def _regions(_node: Node, _scope: Scope) -> str | None:
    return "looks into regions"


def _slices(node: Node, _: Scope) -> str | None:
    return "finds unique slices" if b"axis" in node.attributes else None


_FAULTS: Final[Mapping[str, Callable[[Node, Scope], str | None]]] = {
    "AveragePool": _windows,
    "Div": _division,
    "GatherND": _entries,
    "InstanceNormalization": _normalization,
    "LpPool": _windows,
    "MaxPool": _windows,
    "Mod": _division,
    "Resize": _crop,
    "RoiAlign": _regions,
    "STFT": _spectrum,
    "Unique": _slices,
}
