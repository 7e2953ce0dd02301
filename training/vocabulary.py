"""The words that options of training take; no torch is needed to know them."""

from typing import TYPE_CHECKING, Literal

from caveat.models.tasks import tasks

NetworkName = Literal["mlp", "cnn", "lstm", "gru", "transformer"]

Noise = Literal["constant", "predicted"]
"""Whether the noise of a regression's target is the same in every row, or predicted for each row."""

ExampleRows = Literal["made-up", "keep"]
"""The example in a bundle: rows made up like those of an export's example, or the first of these rows."""

Labels = Literal["names", "indices"]
"""What whole numbers among the truths of a classification stand for."""

if TYPE_CHECKING:
    Task = str
    Outputs = str
else:
    Task = Literal[tuple(task.name for task in tasks.every())]
    """Name of a task."""
    Outputs = Literal[tuple(kind for task in tasks.every() for kind in task.kinds)]
    """The kind of a network's outputs, which the numbers alone do not show."""
