"""Sizes that a request chooses, and sizes that follow from them."""

import ast
import operator
from collections.abc import Callable, Mapping

_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


def evaluate(expression: int | str, sizes: Mapping[str, int]) -> int:
    """Compute a size from the sizes that a request chose.

    Parameters
    ----------
    expression
        A number, a name, or integer arithmetic on them with ``+ - * //``.

    Raises
    ------
    ValueError
        If the expression holds anything else, or a name without a size.

    Examples
    --------
    >>> evaluate("(length - 3)//2 + 1", {"length": 9})
    4
    """
    if isinstance(expression, int):
        return expression
    try:
        return _value(ast.parse(expression, mode="eval").body, sizes)
    except (SyntaxError, RecursionError, ZeroDivisionError):
        raise ValueError(f"{expression!r} is not integer arithmetic") from None


def names(expression: int | str) -> set[str]:
    """Find the names in an expression.

    >>> sorted(names("rows*(length//2)"))
    ['length', 'rows']
    """
    if isinstance(expression, int):
        return set()
    return {node.id for node in ast.walk(ast.parse(expression, mode="eval")) if isinstance(node, ast.Name)}


def _value(node: ast.expr, sizes: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int() as number) if not isinstance(number, bool):
            return number
        case ast.Name(id=name) if name in sizes:
            return sizes[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, sizes)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, sizes), _value(right, sizes))
        case _:
            raise ValueError(f"{ast.unparse(node)!r} is neither a size nor arithmetic on sizes")
