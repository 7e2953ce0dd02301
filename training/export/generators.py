"""The generators of Python and of NumPy, whose draws are no part of a graph."""

import random
import sys
from collections.abc import Callable
from linecache import getline
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

_HERE = Path(__file__).parent
_LIBRARY = str(Path(random.__file__).parent)


def states() -> tuple[Any, ...]:
    """Give the states of both generators, which every draw changes."""
    theirs: Any = np.random.get_state(legacy=False)  # noqa: NPY002  # of the user's own draws
    return random.getstate(), theirs["state"]["key"].tobytes(), theirs["state"]["pos"], theirs["has_gauss"]


def find_draw(run: Callable[[], Any]) -> str:
    """Run a function, and name the line of the first draw of Python's or NumPy's generator; empty if none."""
    finder, before = _Finder(), sys.gettrace()
    sys.settrace(finder)
    try:
        run()
    finally:
        sys.settrace(before)
    return finder.found


class _Finder:
    """A trace function that compares the generators' states between the lines of other packages' code."""

    def __init__(self) -> None:
        self.found = ""
        self._states = states()
        self._line = ("", 0)

    def __call__(self, frame: FrameType, _event: str, _argument: Any) -> "_Finder | None":
        file = frame.f_code.co_filename
        if self.found or _is_passed_over(file):
            return None
        if states() != self._states:
            name, number = self._line
            self.found = f'File "{name}", line {number}: {getline(name, number).strip()}'
        self._line = (file, frame.f_lineno)
        return self


def _is_passed_over(file: str) -> bool:
    """Tell whether a file is of PyTorch, of this package or of Python itself."""
    own = "/torch/" in file or Path(file).parent == _HERE
    return own or (file.startswith(_LIBRARY) and "site-packages" not in file)
