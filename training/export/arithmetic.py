"""Sizes of a traced graph, written as the arithmetic that a bundle states."""

import ast


def plain(size: str) -> str:
    """Write remainders with integer division alone.

    Examples
    --------
    >>> plain("Mod(length, 2) + length")
    'length - 2 * (length // 2) + length'
    >>> plain("(length - 3)//2")
    '(length - 3)//2'
    """
    return ast.unparse(_WithoutRemainders().visit(ast.parse(size, mode="eval"))) if "Mod(" in size else size


class _WithoutRemainders(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Name(id="Mod" | "PythonMod"), args=[value, divisor]):
                whole = ast.BinOp(divisor, ast.Mult(), ast.BinOp(value, ast.FloorDiv(), divisor))
                return ast.BinOp(value, ast.Sub(), whole)
        return node
