import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from caveat.training.measures import classes
from caveat.training.measures.figure import averaged, resampled
from caveat.training.measures.risks import aurc, risks

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(0, 2, (2000, 4))
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
Y = (GENERATOR.random((2000, 1)) > PROBABILITIES.cumsum(axis=1)[:, :-1]).sum(axis=1)
"""Labels drawn from the probabilities, which are therefore calibrated."""


def test_figures_equal_those_of_scikit_learn() -> None:
    found = classes.figures(PROBABILITIES, Y)
    assert found["log likelihood"].value == pytest.approx(-log_loss(Y, PROBABILITIES))
    one_against_all = [brier_score_loss(k == Y, PROBABILITIES[:, k]) for k in range(4)]
    assert found["Brier score"].value == pytest.approx(sum(one_against_all))
    wrong = PROBABILITIES.argmax(axis=1) != Y
    assert found["accuracy"].value == pytest.approx(1 - wrong.mean())
    sure = PROBABILITIES.max(axis=1)
    pairs = (sure[wrong][:, None] < sure[~wrong]).mean()
    assert found["AUROC of errors"].value == pytest.approx(pairs, abs=1e-6)


def test_calibration_errors_by_hand() -> None:
    found = classes.figures(PROBABILITIES, Y)
    sure, right = PROBABILITIES.max(axis=1), PROBABILITIES.argmax(axis=1) == Y
    bins = np.floor(sure * 15).astype(int)
    gaps = [abs(right[bins == k].sum() - sure[bins == k].sum()) for k in range(15)]
    assert found["ECE"].value == pytest.approx(sum(gaps) / 2000, abs=1e-6)
    halves = np.repeat([0.6, 0.9], 500)
    wrong = np.concatenate([np.arange(500) < 200, np.arange(500) < 150])  # right in 0.6, and in 0.7
    mixed = np.random.default_rng(1).permutation(1000)
    assert classes.adaptive_ece(halves[mixed], wrong[mixed]) == pytest.approx(0.1, abs=0.02)


def test_true_probabilities_are_calibrated_and_sharper_ones_are_not() -> None:
    sharper = PROBABILITIES**3 / (PROBABILITIES**3).sum(axis=1, keepdims=True)
    calibrated, overconfident = classes.figures(PROBABILITIES, Y), classes.figures(sharper, Y)
    for measure in ("ECE", "adaptive ECE"):
        assert calibrated[measure].value < 0.04 < 0.08 < overconfident[measure].value
    assert overconfident["AURC"].value == pytest.approx(calibrated["AURC"].value, abs=0.02)


def test_risk_is_the_error_rate_of_the_most_certain_answers() -> None:
    wrong = np.array([True, False, True, False])
    uncertainty = np.array([0.9, 0.1, 0.4, 0.2])
    np.testing.assert_allclose(risks(uncertainty, wrong), [0, 0, 1 / 3, 2 / 4])
    assert aurc(uncertainty, wrong) == pytest.approx((1 / 3 + 1 / 2) / 4)
    assert np.isnan(classes.error_auroc(uncertainty, np.zeros(4, bool)))


def test_the_resampled_error_of_a_mean_equals_its_standard_error() -> None:
    values = GENERATOR.normal(0, 3, 500)
    assert resampled(np.mean, values).error == pytest.approx(averaged(values).error, rel=0.4)
    assert averaged(values).error == pytest.approx(3 / np.sqrt(500), rel=0.1)
