"""The lines of a network's source where its trace depends on a size."""

import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from unittest.mock import patch

import sympy
import torch
from torch._guards import SLoc
from torch.fx.experimental.symbolic_shapes import ShapeEnv, uninteresting_files

_NOT_THE_NETWORKS = (Path(torch.__file__).parent, Path(__file__).parents[1])
_TRACER = Path(__file__).with_name("capture.py")


@contextmanager
def with_places() -> Iterator[list[str]]:
    """Have the tracer keep, with each guard, the line that asks for it and the line of the network.

    The list collects the lines of the network that make a constant of a size.
    """
    fixing: list[str] = []
    replace = ShapeEnv._set_replacement

    def locate(_: ShapeEnv, framework_loc: str | None = None) -> SLoc:
        del framework_loc
        return _located(sys._getframe(1))

    def fix(env: ShapeEnv, symbol: sympy.Symbol, value: sympy.Expr, reason: str) -> None:
        line = _located(sys._getframe(1)).maybe_user_loc
        if value.is_Integer and line is not None:
            fixing.append(line)
        replace(env, symbol, value, reason)

    with patch.object(ShapeEnv, "_get_sloc", locate), patch.object(ShapeEnv, "_set_replacement", fix):
        yield fixing


def _located(frame: FrameType | None) -> SLoc:
    asking = None
    while frame is not None and not _is_the_tracer(frame):
        file = frame.f_code.co_filename
        if file not in uninteresting_files():
            asking = asking or _line(frame)
            if not any(Path(file).is_relative_to(folder) for folder in _NOT_THE_NETWORKS):
                return SLoc(asking, _line(frame))
        frame = frame.f_back
    return SLoc(asking, None)


def _is_the_tracer(frame: FrameType) -> bool:
    return frame.f_code.co_name == "trace" and Path(frame.f_code.co_filename) == _TRACER


def _line(frame: FrameType) -> str:
    file, line = frame.f_code.co_filename, frame.f_lineno
    return f'in "{file}", line {line}, in {frame.f_code.co_name}: {linecache.getline(file, line).strip()}'
