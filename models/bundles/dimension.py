"""Sizes that a request chooses, and sizes that follow from them."""

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Final

_LONGEST: Final = 10_000  # characters of an expression

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
        return _value(_parsed(expression), sizes)
    except (SyntaxError, RecursionError, MemoryError, ZeroDivisionError):
        raise ValueError(f"{_short(expression)} is not integer arithmetic") from None


@lru_cache(256)
def _parsed(expression: str) -> ast.expr:
    return ast.parse(expression, mode="eval").body


def check(expression: int | str, known: Collection[str]) -> None:
    """Refuse an expression that can't be computed for every choice of sizes.

    Raises
    ------
    ValueError
        If the expression is not integer arithmetic on the known names, is very long, or divides by
        anything but a number above 0.
    """
    if isinstance(expression, int):
        return
    if len(expression) > _LONGEST:
        raise ValueError(f"an expression has {len(expression):,} characters; at most {_LONGEST:,}")
    evaluate(expression, dict.fromkeys(known, 2**20))
    for node in ast.walk(ast.parse(expression, mode="eval")):
        match node:
            case ast.BinOp(op=ast.FloorDiv(), right=ast.Constant(value=divisor)) if divisor:
                pass
            case ast.BinOp(op=ast.FloorDiv(), right=right):
                raise ValueError(f"{_short(expression)} divides by {ast.unparse(right)[:60]}, which may be 0")


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
            raise ValueError(f"{_short(ast.unparse(node))} is neither a size nor arithmetic on sizes")


def _short(expression: str) -> str:
    return repr(expression if len(expression) <= 60 else expression[:57] + "...")
