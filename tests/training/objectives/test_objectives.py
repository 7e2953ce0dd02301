import math

import numpy as np
import pytest
import torch

from caveat.training.errors import DataError
from caveat.training.objectives.classes import classification
from caveat.training.objectives.values import UnscaleNormal, regression


def test_probabilities_sum_to_one_and_accuracy_counts() -> None:
    aim = classification(2)
    answers = aim.answer(torch.tensor([[2.0, 1.0], [0.0, 3.0], [5.0, 0.0]]))
    torch.testing.assert_close(answers.sum(dim=1), torch.ones(3))
    assert aim.score(answers, torch.tensor([0, 1, 1])) == pytest.approx(2 / 3)


def test_cross_entropy_of_even_odds_is_log_two() -> None:
    aim = classification(2)
    assert aim.loss(torch.zeros(2, 2), aim.encode(np.array([0, 1]))).item() == pytest.approx(np.log(2))


def test_a_regression_learns_the_scaled_target_and_answers_in_its_units() -> None:
    y = np.array([100.0, 300.0])
    aim = regression(y, "constant")
    assert aim.encode(y).tolist() == [-1, 1]
    assert aim.answer(aim.encode(y)).tolist() == [100, 300]
    assert aim.loss(torch.zeros(2), aim.encode(y)).item() == 1
    assert aim.score(torch.tensor([103.0, 304.0]), torch.from_numpy(y)) == pytest.approx(12.5**0.5)


def test_a_predicted_noise_is_answered_in_the_targets_units_squared() -> None:
    y = np.array([100.0, 300.0])
    aim = regression(y, "predicted")
    assert isinstance(aim.answer, UnscaleNormal)
    outputs = torch.tensor([[-1.0, 0.0], [0.5, math.log(0.25)]])
    variances = torch.tensor([1e4, 2500.0], dtype=torch.float64)
    answers = aim.answer(outputs)
    torch.testing.assert_close(answers[:, 0], torch.tensor([100.0, 250.0], dtype=torch.float64))
    torch.testing.assert_close(answers[:, 1].exp(), variances)
    aim.answer.scale_noise(4.0)
    torch.testing.assert_close(aim.answer(outputs)[:, 1].exp(), 4 * variances)
    assert aim.score(answers, torch.tensor([103.0, 254.0])) == pytest.approx(12.5**0.5)


def test_every_target_is_learned_on_its_own_scale() -> None:
    y = np.array([[100.0, 0.1], [300.0, 0.3]])
    aim = regression(y, "constant")
    assert aim.width == 2
    assert aim.encode(y).tolist() == [[-1, -1], [1, 1]]
    np.testing.assert_allclose(aim.answer(aim.encode(y)), y)
    assert aim.score(torch.from_numpy(y + np.array([100, 0.1])), torch.from_numpy(y)) == pytest.approx(1)
    aim = regression(y, "predicted")
    assert aim.width == 4
    assert isinstance(aim.answer, UnscaleNormal)
    aim.answer.scale_noise(np.array([4.0, 9.0]))
    answers = aim.answer(torch.tensor([[-1.0, 0.0, 0.5, math.log(0.25)]]))
    means, variances = answers.unbind(-1)
    np.testing.assert_allclose(means, [[100, 0.25]], rtol=1e-6)
    np.testing.assert_allclose(variances.exp(), [[4e4, 9 * 0.0025]], rtol=1e-6)
    assert aim.score(answers, torch.tensor([[100.0, 0.35]])) == pytest.approx(0.5**0.5)


def test_seconds_since_1970_keep_their_digits() -> None:
    y = 1_700_000_000.0 + np.arange(5)
    aim = regression(y, "constant")
    answers = aim.answer(aim.encode(y))
    assert answers.dtype == torch.float64
    np.testing.assert_allclose(answers.numpy(), y, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0.1] * 3, "the target is 0.1 in all 3 rows to train on"),
        ([[1, 5], [2, 5]], "the target is 5 in all 2 rows to train on"),
        ([0, 1e300], "which float64 can't square"),
    ],
)
def test_a_target_without_a_scale_is_refused(y: list[float] | list[list[float]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        regression(np.array(y), "constant")
