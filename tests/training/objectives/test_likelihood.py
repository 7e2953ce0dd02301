import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from caveat.training.objectives.likelihood import BETA, beta_nll, profile_nll

MEANS, VARIANCES, Y = np.array([0.0, 1.0, 2.0]), np.array([1.0, 4.0, 0.25]), np.array([1.0, -2.0, 2.5])


def outputs() -> Tensor:
    return torch.tensor(np.stack([MEANS, np.log(VARIANCES)], axis=1), requires_grad=True)


def densities(factor: float = 1.0) -> np.ndarray:
    """Compute negative log-densities without the constant."""
    normal: np.ndarray = stats.norm.logpdf(Y, MEANS, np.sqrt(factor * VARIANCES))
    return -normal - math.log(2 * math.pi) / 2


def test_the_cost_of_a_row_is_weighted_by_its_variance() -> None:
    expected = (VARIANCES**BETA * densities()).mean()
    assert beta_nll(outputs(), torch.tensor(Y)).item() == pytest.approx(expected)


def test_the_weight_has_no_gradient() -> None:
    predicted = outputs()
    beta_nll(predicted, torch.tensor(Y)).backward()
    squares = (Y - MEANS) ** 2
    by_mean = VARIANCES**BETA * (MEANS - Y) / VARIANCES
    by_log_variance = VARIANCES**BETA * (1 - squares / VARIANCES) / 2
    assert predicted.grad is not None
    np.testing.assert_allclose(predicted.grad, np.stack([by_mean, by_log_variance], axis=1) / 3)


def test_a_common_factor_on_the_variances_costs_nothing() -> None:
    best = min(densities(factor).mean() for factor in np.geomspace(0.1, 10, 10_001)) - 0.5
    assert profile_nll(outputs(), torch.tensor(Y)).item() == pytest.approx(best, abs=1e-6)
    other = outputs() + torch.tensor([0.0, 3.0])
    assert profile_nll(other, torch.tensor(Y)).item() == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("loss", [beta_nll, profile_nll])
def test_the_cost_of_several_targets_is_the_mean_of_their_costs(
    loss: Callable[[Tensor, Tensor], Tensor],
) -> None:
    other = torch.tensor([[0.5, 1.0], [0.1, -1.0], [3.0, 2.0]], dtype=torch.float64)
    y = np.stack([Y, Y[::-1]], axis=1)
    alone = [loss(outputs(), torch.tensor(y[:, 0])), loss(other, torch.tensor(y[:, 1]))]
    together = loss(torch.cat([outputs(), other], dim=1), torch.tensor(y))
    assert together.item() == pytest.approx((alone[0] + alone[1]).item() / 2)
