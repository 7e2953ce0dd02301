import numpy as np
import pytest
import torch
from torch import Tensor, nn

from caveat.models.answers.conformal import Sets
from caveat.models.bundles.store import BUNDLED, find, load
from caveat.models.errors import CaveatError
from caveat.models.estimates.answer import estimate, predicted
from caveat.models.predictor import Predictor
from caveat.models.tasks import calibration_file
from caveat.training.calibrate import calibrate
from caveat.training.data.bundled import BUNDLED as DATA
from caveat.training.data.dataset import split
from caveat.training.export.export import export
from tests.bundles import drawn, linear_regression

DIGITS = load(find(BUNDLED / "digits"))
DATASET = DATA["digits"]()
INPUTS, Y = DATASET.fed(split(DATASET, 0.2, 1).test)


def test_calibrating_a_classification_lowers_its_loss_and_keeps_its_labels() -> None:
    found = calibrate(DIGITS, INPUTS, Y)
    facts = found.manifest.calibration
    assert facts
    assert facts.rows == len(Y)
    assert facts.temperature
    answer = estimate(Predictor(found), INPUTS, 100, 0)
    rows = np.arange(len(Y))
    losses = {name: -np.log(answer[name][rows, Y]).mean() for name in ("mean", "probabilities")}
    assert losses["probabilities"] < losses["mean"]
    np.testing.assert_array_equal(answer["probabilities"].argmax(axis=-1), answer["label"])
    powers = answer["mean"].astype(np.float64) ** (1 / facts.temperature)
    known = powers / powers.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(answer["probabilities"], known, rtol=1e-6, atol=1e-9)


def test_calibration_does_not_change_the_passes() -> None:
    before, after = (Predictor(bundle) for bundle in (DIGITS, calibrate(DIGITS, INPUTS, Y, samples=50)))
    np.testing.assert_array_equal(before.predict(INPUTS), after.predict(INPUTS))
    one, other = (estimate(predictor, INPUTS, 100, 0) for predictor in (before, after))
    for name in ("label", "mean", "variance", "mutual_information"):
        np.testing.assert_array_equal(one[name], other[name])


def test_calibrating_again_gives_the_same_bundle() -> None:
    once = calibrate(DIGITS, INPUTS, Y)
    assert calibrate(once, INPUTS, Y).manifest == once.manifest


def test_a_regression_gets_its_noise() -> None:
    bundle = linear_regression(rate=0.1, noise_variance=1.0)
    inputs, truth = drawn(bundle.manifest, 3000, 0)
    found = calibrate(bundle, inputs, truth)
    predictor = Predictor(found)
    assert predictor.calibration
    columns = estimate(predictor, inputs, 100, 0)
    assert columns["variance"].mean() == pytest.approx(9, rel=0.1)  # the variance of the truths
    low, high = predictor.calibration.region(columns, 0.9).T
    assert ((low <= truth) & (truth <= high)).mean() == pytest.approx(0.9, abs=0.001)


def test_the_file_of_arrays_holds_the_answers_to_the_rows() -> None:
    found = calibrate(DIGITS, INPUTS, Y, samples=50, seed=3)
    answer = estimate(Predictor(found), INPUTS, 50, 3)
    read = Predictor(found).calibration
    assert read
    ranks = np.argsort(np.argsort(answer["predictive_entropy"], kind="stable"), kind="stable")
    order = np.argsort(read.columns(answer)["percentile"], kind="stable")
    assert np.array_equal(ranks[order], np.arange(len(Y)))
    assert found.manifest.files[calibration_file.FILE].bytes == len(found.files[calibration_file.FILE])


def test_too_few_rows_are_refused() -> None:
    few = {name: array[:19] for name, array in INPUTS.items()}
    with pytest.raises(CaveatError, match="19 rows to calibrate on; at least 20"):
        calibrate(DIGITS, few, Y[:19])


def test_a_class_without_rows_is_in_every_set() -> None:
    kept = Y != 3
    without = {name: array[kept] for name, array in INPUTS.items()}
    predictor = Predictor(calibrate(DIGITS, without, Y[kept], by_class=True))
    assert predictor.calibration
    held = predictor.calibration.region(estimate(predictor, INPUTS, 100, 0), 0.9)
    assert held[:, 3].all()
    assert held[:, 4].mean() < 0.5


@pytest.mark.parametrize("sets", ["lac", "aps", "raps"])
def test_the_served_sets_of_the_calibration_rows_hold_their_truths(sets: Sets) -> None:
    predictor = Predictor(calibrate(DIGITS, INPUTS, Y, sets=sets))
    assert predictor.calibration
    held = predictor.calibration.region(estimate(predictor, INPUTS, 100, 0), 0.9)
    assert held[np.arange(len(Y)), Y].sum() >= np.ceil((len(Y) + 1) * 0.9)
    assert held.any(axis=1).all()
    assert held.sum(axis=1).mean() < 1.6


def test_the_answer_without_dropout_has_a_temperature_of_its_own() -> None:
    facts = calibrate(DIGITS, INPUTS, Y).manifest.calibration
    assert facts
    assert facts.temperature
    assert facts.deterministic_temperature
    assert facts.temperature < 1 < facts.deterministic_temperature
    predictor = Predictor(DIGITS)
    columns = predicted(predictor, INPUTS)
    rows = np.arange(len(Y))
    losses = {name: -np.log(columns[name][rows, Y]).mean() for name in ("mean", "probabilities")}
    assert losses["probabilities"] < losses["mean"]
    np.testing.assert_array_equal(columns["mean"], predictor.predict(INPUTS))


class Certain(nn.Module):
    """Answers rows of zeros without any variance."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.dropout(x).sum(dim=1)
        return torch.stack([mean, torch.where(x.abs().sum(dim=1) > 0, 0.0, -1000.0)], dim=1)


def test_a_truth_that_no_interval_reaches_is_refused_with_its_row() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 3)).astype(np.float32)
    x[7] = x[8] = 0
    bundle = export(Certain(), x, task="regression", outputs="mean_log_variance", name="certain")
    y = x.sum(axis=1) + random.normal(size=60)
    y[[7, 8]] = 0
    predictor = Predictor(calibrate(bundle, {"x": x}, y))
    assert predictor.calibration
    assert np.isfinite(predictor.calibration.region(estimate(predictor, x), 0.95)).all()
    y[8] = 0.5
    with pytest.raises(
        CaveatError, match=r"rows to calibrate on: row 8 is wrong by 0.5 and has a variance of 0"
    ):
        calibrate(bundle, {"x": x}, y)


def test_the_standard_error_of_stratified_passes_is_a_little_above_the_true_one() -> None:
    """Without the calibration it is about one and a half times the true one."""
    predictor = Predictor(DIGITS)
    answers = [estimate(predictor, INPUTS, 100, seed) for seed in range(60)]
    means, errors = (
        np.stack([of[name] for of in answers]).astype(float) for name in ("mean", "standard_error")
    )
    ratio = np.sqrt(np.square(errors).sum() / (60 * means.var(axis=0, ddof=1)).sum())
    assert 1 < ratio < 1.3
    independent = estimate(predictor, INPUTS, 100, 0, "independent")
    np.testing.assert_allclose(
        independent["standard_error"], np.sqrt(independent["variance"] / 100), rtol=1e-6
    )


def test_sets_by_class_hold_the_truth_in_every_class() -> None:
    bundle = calibrate(DIGITS, INPUTS, Y, by_class=True)
    predictor = Predictor(bundle)
    assert predictor.calibration
    assert predictor.calibration.highest_coverage < 0.98
    held = predictor.calibration.region(estimate(predictor, INPUTS, 100, 0), 0.9)
    for digit in range(10):
        assert held[digit == Y, digit].mean() >= 0.9
