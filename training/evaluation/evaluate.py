"""Evaluates a bundle."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from math import isnan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Inputs
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.training.evaluation.answers import answer_rows, same_rows
from caveat.training.measures.evaluation import Evaluation, Held, Step, Table
from caveat.training.measures.figure import Figure, averaged
from caveat.training.measures.names import GROUPED_AT, ONCE, coverages, held_name
from caveat.training.measures.separation import separation
from caveat.training.tasks import tasks
from caveat.training.tasks.task import Learning, Vector

_FIFTHS: Final = ("most certain fifth", "second", "third", "fourth", "most uncertain fifth")
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
    task = tasks.of(bundle.manifest)
    targets = task.targets(bundle.manifest)
    found = []
    for place, target in enumerate(targets):
        of = partial(_of_target, place=place if len(targets) > 1 else None)
        own, truth = of(answer), y[:, place] if len(targets) > 1 else y
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
                figures=task.figures(own, truth),
                held=_held(task, own, truth),
                groups=list(_groups(bundle.manifest, own, truth)),
                steps=[_step(count, of(mean), of(many)) for count, mean in means.items()],
                strange=there,
                separations=None if there is None else _separations(task.scores(own), task.scores(there)),
            )
        )
    return found


def _of_target(columns: Columns, place: int | None) -> Columns:
    """Take the columns of one of several targets; all columns if ``place`` is None."""
    if place is None:
        return columns
    return {name: column[:, place] if column.ndim > 1 else column for name, column in columns.items()}


def _held(task: Learning, answer: Columns, y: NDArray[Any]) -> list[Held]:
    return [
        Held(f"{coverage:.0%}", len(y), averaged(task.holds(regions, y)), averaged(task.sizes(regions)))
        for coverage in coverages(answer)
        for regions in [answer[held_name(coverage)]]
    ]


def _groups(manifest: Manifest, answer: Columns, y: NDArray[Any]) -> Iterable[Held]:
    """Measure coverage and size in every class, and in fifths of the rows by uncertainty."""
    if held_name(GROUPED_AT) not in answer:
        return
    task, regions = tasks.of(manifest), answer[held_name(GROUPED_AT)]
    held, size = task.holds(regions, y), task.sizes(regions)
    fifths = _fifths(answer[task.model.uncertainty])
    for name, rows in (*task.groups(manifest.classes, y).items(), *fifths.items()):
        if len(rows):
            yield Held(name, len(rows), averaged(held[rows]), averaged(size[rows]))


def _fifths(uncertainty: NDArray[Any]) -> Mapping[str, NDArray[np.intp]]:
    """Divide rows into fifths; rows of equal uncertainty are together, in the fifth of the first of them."""
    before = np.searchsorted(np.sort(uncertainty), uncertainty)  # number of rows that are more certain
    places = len(_FIFTHS) * before // len(uncertainty)
    return {name: np.flatnonzero(places == place) for place, name in enumerate(_FIFTHS)}


def _step(samples: int, mean: Columns, many: Columns) -> Step:
    error = np.square(mean["mean"].astype(np.float64) - many["mean"]).mean()
    promised = np.square(mean["standard_error"], dtype=np.float64).mean()
    return Step(samples, float(np.sqrt(error)), float(np.sqrt(promised)))


def _separations(inside: Mapping[str, Vector], outside: Mapping[str, Vector]) -> Table:
    return {name: separation(known, outside[name]) for name, known in inside.items()}


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
    cells = [f"{measure} {_shown(figure)}" for measure, figure in figures.items() if not isnan(figure.value)]
    return f"  {name:<40}" + ", ".join(cells)


def _shown(figure: Figure) -> str:
    return f"{figure.value:.4g}" + ("" if isnan(figure.error) else f" ± {figure.error:.2g}")
