"""Evaluates a bundle."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.signature import Inputs
from caveat.models.estimates.cohort import estimate
from caveat.models.predictor import Predictor
from caveat.models.tasks import tasks
from caveat.training.evaluation.answers import (
    ONCE,
    ONCE_CALIBRATED,
    answer_rows,
    coverages,
    held_name,
    same_rows,
)
from caveat.training.measures import classes, values
from caveat.training.measures.evaluation import Evaluation, Held, Step, Table
from caveat.training.measures.figure import Figure, averaged
from caveat.training.measures.separation import separation

PASSES: Final = "Monte Carlo"
CALIBRATED: Final = "Monte Carlo, calibrated"
WITHOUT: Final = "without dropout"
WITHOUT_CALIBRATED: Final = "without dropout, calibrated"

GROUPED_AT: Final = 0.9

_FIFTHS: Final = 5
_NUMBERS_OF_PASSES: Final = (2, 5, 10, 20, 50, 100, 200)
_MANY_PASSES: Final = 1000
_ROWS_TO_CONVERGE: Final = 100


def evaluate(
    bundle: Bundle,
    inputs: Inputs,
    y: NDArray[Any],
    samples: int = 100,
    seed: int = 0,
    strange: Inputs | None = None,
    crossed: bool = False,
) -> list[Evaluation]:
    """Evaluate a bundle on rows that it was not trained on, next to the network without dropout.

    Parameters
    ----------
    bundle
        The bundle.
    inputs, y
        Raw rows, at least 2, and their truths: indices of classes, or values; (B, T) for T targets.
    samples, seed
        Number of passes behind every answer, and their seed.
    strange
        Out-of-distribution rows, which the model's uncertainty should detect.
    crossed
        Whether to calibrate on each half of the rows for the other half, if the bundle was calibrated on
        these rows.

    Returns
    -------
    list
        One evaluation, or one for each of several targets.

    Raises
    ------
    CaveatError
        If an answer is not finite.
    """
    predictor = Predictor(bundle)
    answer = answer_rows(bundle, predictor, inputs, y, samples, seed, crossed)
    outside = None
    if strange is not None:
        outside = {**estimate(predictor, strange, samples, seed), ONCE: predictor.predict(strange)}
    few = {name: array[:_ROWS_TO_CONVERGE] for name, array in inputs.items()}
    means = {count: estimate(predictor, few, count, seed) for count in _NUMBERS_OF_PASSES}
    many = estimate(predictor, few, _MANY_PASSES, seed + 1)
    familiar = not crossed and same_rows(bundle, y, answer)
    targets = bundle.manifest.targets
    found = []
    for place, target in enumerate(targets or (bundle.manifest.target,)):
        of = partial(_of_target, place=place if targets else None)
        own, truth = of(answer), y[:, place] if targets else y
        figures_of = _classes if bundle.manifest.classes else _values
        there = None if outside is None else of(outside)
        found.append(
            Evaluation(
                bundle.manifest,
                target,
                samples,
                seed,
                crossed,
                familiar,
                truth,
                own,
                figures=figures_of(own, truth),
                held=_held(own, truth),
                groups=list(_groups(bundle, own, truth)),
                steps=[_step(count, of(mean), of(many)) for count, mean in means.items()],
                strange=there,
                separations=None if there is None else _separations(own, there),
            )
        )
    return found


def _of_target(columns: Columns, place: int | None) -> Columns:
    """Take the columns of one of several targets; all columns if ``place`` is None."""
    if place is None:
        return columns
    return {name: column[:, place] if column.ndim > 1 else column for name, column in columns.items()}


def _classes(answer: Columns, y: NDArray[Any]) -> Table:
    methods = {
        PASSES: answer["mean"],
        CALIBRATED: answer.get("probabilities"),
        WITHOUT: answer[ONCE],
        WITHOUT_CALIBRATED: answer[ONCE_CALIBRATED],
    }
    return {name: classes.figures(of, y) for name, of in methods.items() if of is not None}


def _values(answer: Columns, y: NDArray[Any]) -> Table:
    return {
        PASSES: values.figures(answer["mean"], answer["variance"], y),
        WITHOUT_CALIBRATED: values.figures(answer[ONCE], answer[ONCE_CALIBRATED], y),
    }


def holds(answer: Columns, coverage: float, y: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell whether the set or interval of each row holds its truth, shape (B,)."""
    held = answer[held_name(coverage)]
    if held.dtype == np.bool_:
        return np.take_along_axis(held, y[:, None], axis=1)[:, 0]
    inside: NDArray[np.bool_] = (held[:, 0] <= y) & (y <= held[:, 1])
    return inside


def sizes(answer: Columns, coverage: float) -> NDArray[Any]:
    """Give the number of classes of each row's set, or the width of its interval, shape (B,)."""
    held = answer[held_name(coverage)]
    size: NDArray[Any] = held.sum(axis=-1) if held.dtype == np.bool_ else held[:, 1] - held[:, 0]
    return size


def _held(answer: Columns, y: NDArray[Any]) -> list[Held]:
    return [
        Held(
            f"{coverage:.0%}", len(y), averaged(holds(answer, coverage, y)), averaged(sizes(answer, coverage))
        )
        for coverage in coverages(answer)
    ]


def _groups(bundle: Bundle, answer: Columns, y: NDArray[Any]) -> Iterable[Held]:
    """Measure coverage and size in every class, and in fifths of the rows by uncertainty."""
    if held_name(GROUPED_AT) not in answer:
        return
    held, size = holds(answer, GROUPED_AT, y), sizes(answer, GROUPED_AT)
    members: list[tuple[str, NDArray[np.intp]]] = [
        (name, np.flatnonzero(y == code)) for code, name in enumerate(bundle.manifest.classes or ())
    ]
    order = np.argsort(answer[tasks.of(bundle.manifest).uncertainty], kind="stable")
    names = ("most certain fifth", "second", "third", "fourth", "most uncertain fifth")
    members += list(zip(names, np.array_split(order, _FIFTHS), strict=True))
    for name, rows in members:
        if len(rows):
            yield Held(name, len(rows), averaged(held[rows]), averaged(size[rows]))


def _step(samples: int, mean: Columns, many: Columns) -> Step:
    error = np.square(mean["mean"].astype(np.float64) - many["mean"]).mean()
    promised = np.square(mean["standard_error"], dtype=np.float64).mean()
    return Step(samples, float(np.sqrt(error)), float(np.sqrt(promised)))


def _separations(inside: Columns, outside: Columns) -> Mapping[str, Mapping[str, Figure]]:
    def every(answer: Columns) -> Mapping[str, NDArray[Any]]:
        if "label" not in answer:
            return values.scores(answer)
        once = classes.deterministic_scores(answer[ONCE])
        return {**classes.scores(answer), **{f"{name}, {WITHOUT}": of for name, of in once.items()}}

    strange = every(outside)
    return {name: separation(known, strange[name]) for name, known in every(inside).items()}


def compared(evaluation: Evaluation) -> Sequence[str]:
    """Write the figures as lines of text."""
    return [
        *_lines(evaluation.figures),
        *([""] if evaluation.held else []),
        *(_line(f"held at {of.name}", {"coverage": of.coverage, "size": of.size}) for of in evaluation.held),
        *(["", *_lines(evaluation.separations)] if evaluation.separations else []),
    ]


def _lines(table: Table) -> list[str]:
    return [_line(name, figures) for name, figures in table.items()]


def _line(name: str, figures: Mapping[str, Figure]) -> str:
    cells = [f"{measure} {figure.value:.4g} ± {figure.error:.2g}" for measure, figure in figures.items()]
    return f"  {name:<40}" + ", ".join(cells)
