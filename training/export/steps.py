"""The steps of an export, as a caller may show them."""

from caveat.training.progress import Progress

COUNT = 8


class Steps:
    """Tells a caller which step of an export starts.

    Parameters
    ----------
    progress
        Takes the steps; with None, nothing is told.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._number = 0

    def __call__(self, name: str) -> None:
        """Tell the next step."""
        if self._progress is not None:
            self._progress(name, self._number, COUNT)
        self._number += 1

    def end(self) -> None:
        """Tell that the last step has ended."""
        if self._progress is not None:
            self._progress("", COUNT, COUNT)
