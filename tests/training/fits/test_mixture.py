import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from caveat.models import predictor as module
from caveat.models.predictor import Predictor
from caveat.training.export.export import export
from caveat.training.fits.mixture import fit_factor, log_density


def test_the_density_is_the_mean_of_the_densities_of_the_passes() -> None:
    generator = np.random.default_rng(0)
    means, y = generator.normal(size=(5, 3)), generator.normal(size=3)
    variances = generator.uniform(0.1, 2, size=(5, 3))
    expected = np.log(stats.norm.pdf(y, means, np.sqrt(variances)).mean(axis=0))
    np.testing.assert_allclose(log_density(means, variances, y), expected)


def test_a_target_far_from_every_pass_has_a_finite_density() -> None:
    assert log_density(np.zeros((2, 1)), np.ones((2, 1)), np.array([100.0])) == pytest.approx(
        -5000.9, abs=0.1
    )


class Noisy(nn.Module):
    """Predicts a row's value under dropout as its mean, and the square of the value as its variance."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.01)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.dropout(x), 2 * x.abs().log()], dim=1)


@pytest.mark.parametrize("working_set", [module.WORKING_SET, 2000])
def test_the_factor_of_simulated_rows_is_recovered(working_set: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all rows in one block, and in several."""
    monkeypatch.setattr(module, "WORKING_SET", working_set)
    generator = np.random.default_rng(0)
    x = generator.uniform(1, 10, size=(1000, 1)).astype(np.float32)
    bundle = export(Noisy(), x[:5], task="regression", outputs="mean_log_variance", name="noisy")
    y = x[:, 0] * (1 + 2 * generator.standard_normal(1000))
    # The error of the logarithm of a variance is sqrt(2 / rows), 0.045.
    found = fit_factor(Predictor(bundle, threads=1), {"x": x}, y, samples=50, seed=0)
    assert found == pytest.approx(4, rel=0.15)
