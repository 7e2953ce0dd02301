"""From a data set to a bundle: train, export, measure, calibrate."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch

from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.signature import Input
from caveat.models.predictor import Predictor
from caveat.training.architecture import ARCHITECTURES, refuse_misfit
from caveat.training.augmentation.augmentation import refuse_misfits
from caveat.training.augmentation.kinds import strengths
from caveat.training.calibrate import LEAST_ROWS, calibrate
from caveat.training.card.card import with_card
from caveat.training.data.dataset import Dataset, split
from caveat.training.errors import DataError
from caveat.training.example import example, typical
from caveat.training.metrics import held_out_metrics
from caveat.training.options import Options
from caveat.training.pace import in_words
from caveat.training.processor import Processor
from caveat.training.progress import Progress, shown
from caveat.training.recipe import recipe, suited_rate
from caveat.training.run import Run, updated
from caveat.training.sample import MOST_CHOOSING, MOST_EVALUATED, sample, with_few_validated

_FEWER: Final = 0.8
"""Fraction of the rows to hold out below which their owner is told."""

_MANY: Final = 2 * MOST_CHOOSING
"""Most training rows that all train a network towards each objective, of which the best is kept."""


def train(
    dataset: Dataset,
    options: Options,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Bundle:
    """Train on a data set, and export the network with its metrics and its calibration, in memory.

    A part of the rows is held out to test the model on and then to calibrate it; another part decides when
    training stops. A regression without a stated noise is trained with either kind, of many rows on some of
    them first; the kind that makes the validation rows likelier is kept. Where steps are large, all threads
    that torch has train it, or a GPU.

    Parameters
    ----------
    dataset, options
        The rows, and how to train on them.
    progress
        Called as a step of the export or of the evaluation starts.
    say
        Takes an estimate of the time and notes, in words, before the training starts.

    Raises
    ------
    CaveatError
        If the rows do not fit the network, or the options do not fit the task.
    """
    refuse_misfit(options.network, dataset.input.shape[1:])
    sequences = ARCHITECTURES[options.network].sequences
    refuse_misfits(strengths(options.augment), dataset.input.shape[1:], sequences)
    if options.noise == "constant" and any(feature.other for feature in dataset.input.features or ()):
        raise DataError(
            "--noise constant is as large for unknown categories as for known ones; for --unseen other leave "
            "it out"
        )
    threads = torch.get_num_threads()
    with Processor().used():
        run = _run(dataset, options, progress, threads)
        first = run.on_few_rows() if len(run.objectives) > 1 and len(run.parts.train) > _MANY else None
        if say is not None:
            with shown(progress, "time some steps"):
                estimate = _estimate(run, first)
            say(estimate)
            for note in _notes(run):
                say(note)
        if first is None:
            return _measured(run, _best(run)[1])
        place, _ = _best(first)
        return _measured(run, run.bundle(run.objectives[place]))


def _run(dataset: Dataset, options: Options, progress: Progress | None, threads: int) -> Run:
    """Complete the options with what suits the task and the rows."""
    parts = with_few_validated(split(dataset, options.test_size, options.seed), options.seed)
    rows, architecture = len(parts.train), ARCHITECTURES[options.network]
    defaults = dataset.learning.model.training
    sizes = defaults.hidden.get(options.network, architecture.hidden)
    rate = architecture.dropout if defaults.dropout is None else defaults.dropout
    return Run(
        dataset,
        parts,
        options,
        recipe(options, defaults, rows),
        options.hidden or sizes,
        options.rates or (suited_rate(rate, rows),),
        threads,
        torch.cuda.is_available(),
        progress,
    )


def _estimate(run: Run, first: Run | None) -> str:
    """Say how long the training takes, if it is not stopped early."""
    shorter = [first.seconds(aim) for aim in first.objectives] if first else []
    longer = [run.seconds(aim) for aim in run.objectives[: 1 if first else None]]
    steps = math.ceil(len(run.parts.train) / run.recipe.batch_size)
    kinds = f"{len(longer)} networks, " if len(longer) > 1 else ""
    return (
        f"training: {kinds}at most {run.recipe.epochs} epochs of {steps} steps, about "
        f"{in_words(sum(shorter) + sum(longer))} if none is spared"
    )


def _notes(run: Run) -> Iterator[str]:
    """Say if far fewer rows are held out than were asked for."""
    held, rows = len(run.parts.test), len(run.dataset.y)
    if held < _FEWER * run.options.test_size * rows:
        yield (
            f"note: {held:,} of {rows:,} rows are held out; the others have categories, or gaps, that no "
            "other training row has. A column of names may be left out with --drop"
        )


def _best(run: Run) -> tuple[int, Bundle]:
    """Train towards each objective; give the place of the best, and its bundle."""
    bundles = [run.bundle(aim) for aim in run.objectives]
    qualities = [run.quality(bundle) for bundle in bundles] if len(bundles) > 1 else [0.0]
    place = qualities.index(max(qualities))
    return place, bundles[place]


def _measured(run: Run, bundle: Bundle) -> Bundle:
    """Measure, calibrate and describe a bundle on held-out rows."""
    samples, seed, progress = run.options.samples, run.options.seed, run.progress
    inputs, y = run.dataset.fed(sample(run.parts.test, MOST_EVALUATED, seed))
    with shown(progress, "measure"):
        metrics = held_out_metrics(Predictor(bundle), inputs, y, samples, seed)
        bundle = updated(bundle, metrics=metrics, example=_example(run, bundle.manifest.inputs[0]))
    # What has measured the model may calibrate it: nothing was chosen by these rows.
    if len(y) < LEAST_ROWS:
        return bundle
    with shown(progress, "calibrate"):
        bundle = calibrate(bundle, inputs, y, samples)
    with shown(progress, "write the card"):
        return with_card(bundle, inputs, y, samples)


def _example(run: Run, spec: Input) -> list[Any] | None:
    """Show rows of a data set that is public, but none of the user's: bundles are handed around."""
    rows = run.parts.test.x[:2] if run.dataset.public else typical(spec, run.parts.train.x)
    return example(spec, rows)
