import numpy as np
import pytest
from scipy import stats

from caveat.training.measures import values
from caveat.training.measures.separation import separation


def test_figures_equal_those_of_scipy_and_of_an_integral() -> None:
    generator = np.random.default_rng(0)
    mean, variance = generator.normal(0, 2, 200), generator.uniform(0.5, 2, 200)
    y = generator.normal(mean, np.sqrt(variance))
    found = values.figures(mean, variance, y)
    laws = stats.norm(mean, np.sqrt(variance))
    assert found["log likelihood"].value == pytest.approx(laws.logpdf(y).mean())
    assert found["RMSE"].value == pytest.approx(np.sqrt(np.square(mean - y).mean()))
    assert found["sharpness"].value == pytest.approx(np.sqrt(variance).mean())
    grid = np.linspace(-20, 20, 20_001)[:, None]
    scores = np.square(laws.cdf(grid) - (grid >= y)).sum(axis=0) * 0.002
    assert found["CRPS"].value == pytest.approx(scores.mean(), rel=1e-3)


def test_a_variance_of_zero_has_no_likelihood() -> None:
    found = values.figures(np.zeros(3), np.zeros(3), np.ones(3))
    assert found.keys() == {"RMSE", "sharpness"}


def test_separation_equals_a_count_of_pairs() -> None:
    generator = np.random.default_rng(1)
    inside, outside = generator.normal(0, 1, 300), generator.normal(1, 1, 200)
    found = separation(inside, outside)
    assert found["AUROC"].value == pytest.approx((outside[:, None] > inside).mean())
    assert found["AUROC"].error == pytest.approx(0.02, abs=0.01)
    assert found["FPR95"].value == pytest.approx((outside <= np.quantile(inside, 0.95)).mean(), abs=0.02)
