import numpy as np
import pytest
from scipy import stats

from caveat.models.answers.tempering import tempered
from caveat.models.bundles import store
from caveat.models.bundles.bundle import Bundle
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.training.calibrate import calibrate
from caveat.training.data.bundled import BUNDLED
from caveat.training.data.dataset import split
from caveat.training.evaluation.evaluate import compared, evaluate
from caveat.training.fits.temperature import most_likely_temperature
from caveat.training.measures import classes
from caveat.training.measures.evaluation import Evaluation
from tests.bundles import calibrated_on, drawn, linear_regression, linear_targets, tabular

DIGITS = store.load(store.find(store.BUNDLED / "digits"))
DATASET = BUNDLED["digits"]()
INPUTS, Y = DATASET.fed(split(DATASET, 0.2, 1).test)


def test_figures_of_every_method_equal_a_direct_computation() -> None:
    (found,) = evaluate(DIGITS, INPUTS, Y, samples=50, seed=2)
    predictor = Predictor(DIGITS)
    answer, once = estimate(predictor, INPUTS, 50, 2), predictor.predict(INPUTS)
    halves = np.array_split(np.random.default_rng(0).permutation(len(Y)), 2)
    fitted = once.astype(np.float64)
    for half, other in (halves, halves[::-1]):
        fitted[half] = tempered(once[half], most_likely_temperature(once[other], Y[other]))
    known = {
        "Monte Carlo": answer["mean"],
        "Monte Carlo, calibrated": answer["probabilities"],
        "without dropout": once,
        "without dropout, calibrated": fitted,
    }
    assert list(found.figures) == list(known)
    for method, probabilities in known.items():
        assert found.figures[method] == classes.figures(probabilities, Y), method
    assert predictor.calibration
    for level, held in zip((0.8, 0.9, 0.95, 0.99), found.held, strict=True):
        sets = predictor.calibration.region(answer, level)
        assert held.coverage.value == sets[np.arange(len(Y)), Y].mean()
        assert held.size.value == sets.sum(axis=1).mean()
    assert sum(group.rows for group in found.groups) == 2 * len(Y)  # by class, and by fifths


def test_calibration_rows_are_recognised_and_others_are_not() -> None:
    half = len(Y) // 2
    first, second = (
        {name: rows[part] for name, rows in INPUTS.items()} for part in (slice(half), slice(half, None))
    )
    bundle = calibrate(DIGITS, first, Y[:half])
    assert evaluate(bundle, first, Y[:half])[0].familiar
    assert not evaluate(bundle, second, Y[half:])[0].familiar
    assert not evaluate(bundle, first, Y[:half], crossed=True)[0].familiar


def test_crossed_halves_hold_the_truth_at_the_asked_rate() -> None:
    bundle = linear_regression(rate=0.1, noise_variance=9.0)
    inputs, truth = drawn(bundle.manifest, 2000, 0)
    (found,) = evaluate(calibrate(bundle, inputs, truth), inputs, truth, crossed=True)
    law = stats.betabinom(1000, 901, 1001 - 901)  # each half: 901 = ceil(0.9 * 1001)
    low, high = (2 * law.ppf(p) / 2000 for p in (1e-4, 1 - 1e-4))
    (held,) = (of for of in found.held if of.name == "90%")
    assert low <= held.coverage.value <= high
    # The noise is constant, so that the network without dropout is as good.
    rmse = [found.figures[method]["RMSE"].value for method in found.figures]
    assert rmse[0] == pytest.approx(rmse[1], rel=0.02)


def test_errors_of_few_passes_fall_as_the_stated_errors() -> None:
    bundle = linear_regression(rate=0.3)
    inputs, truth = drawn(bundle.manifest, 100, 0)
    (found,) = evaluate(bundle, inputs, truth)
    assert [step.samples for step in found.steps] == [2, 5, 10, 20, 50, 100, 200]
    assert not found.held
    for step in found.steps:
        assert step.error < 1.5 * step.promised
    assert found.steps[-1].promised == pytest.approx(found.steps[2].promised * np.sqrt(10 / 200), rel=0.1)


def test_out_of_distribution_rows_are_separated() -> None:
    strange = {name: rows[:, ::-1].copy() for name, rows in INPUTS.items()}
    (found,) = evaluate(DIGITS, INPUTS, Y, strange=strange)
    assert found.separations
    assert found.separations["mutual_information"]["AUROC"].value > 0.8
    assert "predictive_entropy, without dropout" in found.separations


def test_each_target_is_evaluated_by_itself() -> None:
    bundle = linear_targets()
    inputs, truth = drawn(bundle.manifest, 60, 0)
    found = evaluate(calibrate(bundle, inputs, truth), inputs, truth, crossed=True)
    assert [of.target for of in found] == list(bundle.manifest.targets or ())
    answer = estimate(Predictor(bundle), inputs, 100, 0)
    for place, of in enumerate(found):
        error = np.sqrt(np.square(answer["mean"][:, place] - truth[:, place]).mean())
        assert of.figures["Monte Carlo"]["RMSE"].value == pytest.approx(error)


NEVER = 1e-9
"""A rate at which nothing is dropped, so that every pass gives the same."""

Rows = tuple[Bundle, dict[str, np.ndarray], np.ndarray]


def tied() -> Rows:
    """Give 36 rows answered with (1, 0), all right, and 24 with (0.55, 0.45), half of them right."""
    bundle = tabular(rate=NEVER)
    x = np.zeros((60, 3), np.float32)
    x[:36, 0] = 1e6
    return bundle, {"x": x}, (np.arange(60) >= 48).astype(np.int64)


def shuffled(inputs: dict[str, np.ndarray], y: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    order = np.random.default_rng(5).permutation(len(y))
    return {name: rows[order] for name, rows in inputs.items()}, y[order]


def counts(found: Evaluation) -> list[tuple[str, int, float, float]]:
    return [(of.name, of.rows, of.coverage.value, of.size.value) for of in (*found.held, *found.groups)]


def test_coverage_and_groups_of_tied_rows_by_hand() -> None:
    bundle, inputs, y = tied()
    # The scores of the truths are 36 of 0, 12 of 0.45 and 12 of 0.55. So the quantile is 0.55 from 80 % on:
    # the sets of the certain rows have one class, those of the others both.
    bundle = calibrated_on(bundle, inputs, y, temperature=1.0, sets="lac")
    expected = [
        ("80%", 60, 1, 84 / 60),
        ("90%", 60, 1, 84 / 60),
        ("95%", 60, 1, 84 / 60),
        ("no", 48, 1, 60 / 48),
        ("yes", 12, 1, 2),
        ("most certain fifth", 36, 1, 1),
        ("fourth", 24, 1, 2),
    ]
    for rows, truth in ((inputs, y), shuffled(inputs, y)):
        (found,) = evaluate(bundle, rows, truth)
        assert counts(found) == expected
        assert all(step.error == step.promised == 0 for step in found.steps)
        assert found.figures["Monte Carlo"]["accuracy"].value == 0.8


def test_fifths_of_rows_without_ties_are_fifths() -> None:
    bundle = linear_regression(rate=0.3)
    inputs, truth = drawn(bundle.manifest, 60, 0)
    (found,) = evaluate(calibrated_on(bundle, inputs, truth), inputs, truth)
    assert [of.rows for of in found.groups] == [12] * 5
    assert [of.size.value for of in found.groups] == sorted(of.size.value for of in found.groups)


def test_what_rows_do_not_tell_is_not_printed() -> None:
    bundle, inputs, y = tied()
    first = {name: rows[:36] for name, rows in inputs.items()}
    (right,) = evaluate(calibrated_on(bundle, first, y[:36], temperature=1.0, sets="lac"), first, y[:36])
    (wrong,) = evaluate(bundle, first, 1 - y[:36])
    for found in (right, wrong):
        printed = "\n".join(compared(found))
        assert "nan" not in printed
        assert "AUROC" not in printed
    assert [of.name for of in right.groups] == ["no", "most certain fifth"]
    assert right.figures["Monte Carlo"]["log likelihood"].value == 0
    assert wrong.figures["Monte Carlo"]["log likelihood"].value == pytest.approx(-103.2789)


def test_monte_carlo_errors_by_hand() -> None:
    bundle = linear_regression(weights=(1.0, 0.0, 0.0), bias=0.0, rate=0.5)
    inputs = {"x": np.ones((40, 3), np.float32)}  # each pass gives 0 or 2
    (found,) = evaluate(bundle, inputs, np.zeros(40), seed=3)
    predictor = Predictor(bundle)
    many = estimate(predictor, inputs, 1000, 4)["mean"][0]
    for step in found.steps:
        twos = estimate(predictor, inputs, step.samples, 3)["mean"][0] * step.samples / 2
        share = twos / step.samples
        assert step.error == pytest.approx(abs(2 * share - many))
        assert step.promised == pytest.approx(2 * np.sqrt(share * (1 - share) / (step.samples - 1)), rel=1e-6)
