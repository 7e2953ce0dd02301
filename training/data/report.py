"""How a table was read, in words: for the terminal and for the model's card."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """How a table was read.

    Parameters
    ----------
    title
        The table, its rows, and what is predicted.
    columns
        How each column was read, by its name.
    notes
        What its owner should know besides.
    """

    title: str
    columns: dict[str, str]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        width = max(map(len, self.columns))
        lines = [f"  {name:<{width}}  {words}" for name, words in self.columns.items()]
        return "\n".join([self.title, *lines])


def of_target(classes: Sequence[str] | None, low: float, high: float) -> str:
    """Say what a target holds.

    >>> of_target(None, 0.5, 12.0), of_target(["no", "yes"], 0, 1)
    ('to predict, from 0.5 to 12', 'to predict, 2 classes: no, yes')
    """
    if classes is None:
        return f"to predict, from {low:.6g} to {high:.6g}"
    listed = ", ".join(classes[:6]) + (", ..." if len(classes) > 6 else "")
    return f"to predict, {len(classes)} classes: {listed}"
