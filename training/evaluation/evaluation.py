"""What came of judging a model, or one target of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.manifest import Manifest
from caveat.training.evaluation.figure import Figure

Table = Mapping[str, Mapping[str, Figure]]
"""Figures by method or score, and by measure."""


@dataclass(frozen=True)
class Held:
    """What sets or intervals hold.

    Parameters
    ----------
    name
        The coverage that was asked for, or which rows were looked at.
    rows
        Number of them.
    coverage
        Rate at which the truth is held.
    size
        Mean number of classes, or width in the target's units.
    """

    name: str
    rows: int
    coverage: Figure
    size: Figure


@dataclass(frozen=True)
class Step:
    """How far the mean of so many passes is from that of very many; root mean squares over all outputs.

    Parameters
    ----------
    error, promised
        The distance, and the standard error that the answers state.
    """

    samples: int
    error: float
    promised: float


@dataclass(frozen=True)
class Evaluation:
    """A model, or one target of it, judged on some rows.

    Parameters
    ----------
    target
        Which one, of a regression.
    samples, seed
        The passes behind every answer.
    crossed
        Whether each half of the rows was judged with a calibration on the other half.
    familiar
        Whether the rows are those that the model is calibrated on, so that it looks better than it is.
    y, columns
        Truths, and the answers to the rows (see `caveat.training.evaluation.evaluate`).
    figures
        By method: the passes, and what may do as well without them.
    held
        By the coverage that was asked for; empty without calibration.
    groups
        At a coverage of 0.9, by class or by fifths of the uncertainty.
    steps
        Convergence with the number of passes.
    strange, separations
        Answers to rows that are none of the model's business, and how well scores tell them.
    """

    manifest: Manifest
    target: str | None
    samples: int
    seed: int
    crossed: bool
    familiar: bool
    y: NDArray[Any]
    columns: Columns
    figures: Table
    held: Sequence[Held]
    groups: Sequence[Held]
    steps: Sequence[Step]
    strange: Columns | None = None
    separations: Table | None = None
