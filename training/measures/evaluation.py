"""The result of evaluating a model, or one of its targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.manifest import Manifest
from caveat.training.measures.figure import Figure

Table = Mapping[str, Mapping[str, Figure]]
"""Figures by method or score, and by measure."""


@dataclass(frozen=True)
class Held:
    """Coverage and size of prediction sets or intervals on some rows.

    Parameters
    ----------
    name
        The asked coverage, or the group of rows.
    rows
        Number of rows.
    coverage
        Rate at which sets or intervals hold the truth.
    size
        Mean number of classes in a set, or mean width of an interval in the target's units.
    """

    name: str
    rows: int
    coverage: Figure
    size: Figure


@dataclass(frozen=True)
class Step:
    """Monte Carlo error of the mean for a number of passes; root mean squares over all outputs.

    Parameters
    ----------
    samples
        Number of passes.
    error
        Distance of the mean from the mean of very many other passes.
    promised
        Standard error that the answers state.
    """

    samples: int
    error: float
    promised: float


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a model, or of one of its targets, on some rows.

    Parameters
    ----------
    manifest
        Manifest of the model.
    target
        Name of a regression's target.
    samples, seed
        Number of passes behind every answer, and their seed.
    crossed
        Whether each half of the rows was evaluated with a calibration on the other half.
    familiar
        Whether the model was calibrated on these rows, so that calibrated figures look too good.
    y, columns
        Truths, and the answers to the rows (see `caveat.training.evaluation.answers`).
    figures
        Figures by method: with passes, and without dropout.
    held
        Coverage and size at each asked coverage; empty without calibration.
    groups
        Coverage and size at an asked coverage of 0.9, by class and by fifths of the uncertainty.
    steps
        Monte Carlo error by number of passes.
    strange, separations
        Answers to out-of-distribution rows, and how well each score separates them from the others.
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
