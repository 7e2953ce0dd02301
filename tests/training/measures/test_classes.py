import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from caveat.training.measures import classes
from caveat.training.measures.calibration_error import adaptive_ece

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
    assert adaptive_ece(halves[mixed], wrong[mixed]) == pytest.approx(0.1, abs=0.02)


def test_true_probabilities_are_calibrated_and_sharper_ones_are_not() -> None:
    sharper = PROBABILITIES**3 / (PROBABILITIES**3).sum(axis=1, keepdims=True)
    calibrated, overconfident = classes.figures(PROBABILITIES, Y), classes.figures(sharper, Y)
    for measure in ("ECE", "adaptive ECE"):
        assert calibrated[measure].value < 0.04 < 0.08 < overconfident[measure].value
    assert overconfident["AURC"].value == pytest.approx(calibrated["AURC"].value, abs=0.02)


LOWEST = np.log(np.finfo(np.float32).smallest_subnormal)


def measured(probabilities: list[list[float]], y: list[int]) -> dict[str, float]:
    for kind in (np.float32, np.float64):
        found = classes.figures(np.array(probabilities, kind), np.array(y))
    return {name: figure.value for name, figure in found.items()}


SATURATED = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
EVEN = [[0.5, 0.5, 0.0]] * 4
MIXED = [[1.0, 0.0], [0.8, 0.2], [0.2, 0.8], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("probabilities", "y", "expected"),
    [
        (SATURATED, [0, 1, 0, 2], (1, 0, 0, 0, 0, 0, np.nan)),
        (SATURATED, [1, 0, 2, 0], (0, LOWEST, 2, 1, 1, 1, np.nan)),
        # One of four is wrong, at the same uncertainty: each prefix has an error rate of a quarter.
        (SATURATED, [0, 1, 1, 2], (0.75, LOWEST / 4, 0.5, 0.25, 0.25, 0.25, 0.5)),
        (EVEN, [0, 0, 0, 0], (1, -np.log(2), 0.5, 0.5, 0.5, 0, np.nan)),
        (EVEN, [0, 1, 0, 1], (0.5, -np.log(2), 0.5, 0, 0, 0.5, 0.5)),
        (EVEN, [2, 2, 2, 2], (0, LOWEST, 1.5, 0.5, 0.5, 1, np.nan)),
        # Label 1 is wrong in the last row but one, label 0 in the last; both rows of 0.8 are in one bin.
        (
            MIXED,
            [0, 0, 0, 1],
            (
                0.5,
                (np.log(0.8) + np.log(0.2) + np.log(0.5)) / 4,
                (0 + 0.08 + 1.28 + 0.5) / 4,
                (0 + 0.6 + 0.5) / 4,
                (0 + 2 * 0.3 + 0.5) / 4,
                (0 + 0.25 + 1 / 3 + 0.5) / 4,
                3.5 / 4,
            ),
        ),
        ([[1.0, 0.0]], [0], (1, 0, 0, 0, 0, 0, np.nan)),
        ([[1.0, 0.0]], [1], (0, LOWEST, 2, 1, 1, 1, np.nan)),
        ([[0.75, 0.25]], [0], (1, np.log(0.75), 0.125, 0.25, 0.25, 0, np.nan)),
    ],
)
def test_figures_of_saturated_tied_and_one_class_rows_by_hand(
    probabilities: list[list[float]], y: list[int], expected: tuple[float, ...]
) -> None:
    found = measured(probabilities, y)
    assert list(found.values()) == pytest.approx(expected, nan_ok=True, abs=1e-6), found


def test_figures_do_not_depend_on_the_order_of_the_rows() -> None:
    generator = np.random.default_rng(3)
    coarse = generator.dirichlet([1, 1, 1], 60).round(1)
    coarse[:, 2] = 1 - coarse[:, 0] - coarse[:, 1]
    coarse = np.abs(coarse).round(1).astype(np.float32)
    y = generator.integers(3, size=60)
    order = generator.permutation(60)
    first, second = classes.figures(coarse, y), classes.figures(coarse[order], y[order])
    for name, figure in first.items():
        assert second[name].value == pytest.approx(figure.value, abs=1e-12), name
