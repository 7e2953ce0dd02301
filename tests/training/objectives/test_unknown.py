import numpy as np
import pytest
import torch

from caveat.training.objectives.classes import classification
from caveat.training.objectives.unknown import WidenedClasses, WidenedValues, widened
from caveat.training.objectives.values import UnscaleNormal, regression

UNKNOWN = torch.tensor([[False, False], [True, False], [False, True], [True, True]])


def test_temperatures_of_unknown_categories_multiply() -> None:
    answer = WidenedClasses(2)
    answer.widths += torch.log(torch.tensor([2.0, 4.0]))
    logits = torch.tensor([[0.0, 8.0]]).expand(4, 2)
    expected = [torch.softmax(torch.tensor([0.0, 8.0]) / each, 0) for each in (1, 2, 4, 8)]
    torch.testing.assert_close(answer(logits, UNKNOWN), torch.stack(expected))


@pytest.mark.parametrize("targets", [1, 2])
def test_factors_of_unknown_categories_multiply_the_learned_variance(targets: int) -> None:
    y = np.random.default_rng(0).normal(size=(50, targets) if targets > 1 else 50) * 3
    aim = regression(y, "predicted")
    assert isinstance(aim.answer, UnscaleNormal)
    aim.answer.scale_noise(0.25)
    answer = WidenedValues(aim.answer, 2)
    answer.widths += torch.log(torch.tensor([[2.0], [3.0]]))
    outputs = torch.zeros(4, 2 * targets)
    found = answer(outputs, UNKNOWN)[..., 1].exp().reshape(4, targets)
    learned = torch.from_numpy(np.atleast_1d(y.var(axis=0)))
    # Known rows have a quarter of what was learned; each unknown category takes that back.
    for row, factor in zip(found, (0.25, 2, 3, 24), strict=True):
        torch.testing.assert_close(row, factor * learned)
    torch.testing.assert_close(answer(outputs, UNKNOWN)[..., 0], aim.answer(outputs)[..., 0])


def test_values_with_constant_noise_cannot_be_widened() -> None:
    assert widened(regression(np.arange(9.0), "constant"), 2) is None
    assert isinstance(widened(classification(3), 2), WidenedClasses)
    assert isinstance(widened(regression(np.arange(9.0), "predicted"), 2), WidenedValues)
