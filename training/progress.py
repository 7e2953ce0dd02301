"""A progress bar that names the step which runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

Progress = Callable[[str, int, int], None]
"""Takes the name of the step that starts, its number from 0 on, and the number of steps.

After the last step it is called once more, with that number twice.
"""


@contextmanager
def shown(progress: Progress | None, step: str) -> Iterator[None]:
    """Tell of a block that is a step by itself."""
    if progress is not None:
        progress(step, 0, 1)
    yield
    if progress is not None:
        progress("", 1, 1)


class Bar:
    """A `Progress` on standard error, if that is a terminal; it is removed after the last step.

    Examples
    --------
    >>> with Bar() as bar:
    ...     bar("trace", 0, 2)
    ...     bar("compare", 1, 2)
    ...     bar("", 2, 2)
    """

    def __init__(self) -> None:
        self._shown: tqdm[Any] | None = None

    def __call__(self, step: str, number: int, count: int) -> None:
        """Show a step."""
        if number == count:
            self._close()
            return
        if self._shown is None:
            self._shown = tqdm(total=count, unit="step", leave=False, disable=None)
        self._shown.set_description(step, refresh=False)
        self._shown.update(number - self._shown.n)
        self._shown.refresh()

    def __enter__(self) -> Self:
        """Give the bar."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar."""
        self._close()

    def _close(self) -> None:
        if self._shown is not None:
            self._shown.close()
            self._shown = None
