import numpy as np
import pytest
from scipy import stats

from caveat.training.measures import values


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


@pytest.mark.parametrize(
    ("mean", "variance", "y", "log_likelihood", "crps"),
    [
        # At the mean: phi(0) = 1 / sqrt(2 pi), and the score is s (2 phi(0) - 1 / sqrt(pi)).
        ([0.0], [1.0], [0.0], -0.9189385, 0.2336950),
        ([5.0], [4.0], [5.0], -1.6120857, 0.4673899),
        # One deviation away: phi(1) = 0.2419707, Phi(1) = 0.8413447.
        ([0.0], [1.0], [1.0], -1.4189385, 0.6024413),
        ([1.0, 1.0], [1.0, 1.0], [2.0, 0.0], -1.4189385, 0.6024413),
        # Far away it is the distance less s / sqrt(pi).
        ([0.0], [1e-20], [3.0], -0.9189385 + 10 * np.log(10) - 4.5e20, 3 - 1e-10 * 0.5641896),
    ],
)
def test_likelihood_and_crps_by_hand(
    mean: list[float], variance: list[float], y: list[float], log_likelihood: float, crps: float
) -> None:
    found = values.figures(np.array(mean), np.array(variance), np.array(y))
    assert found["log likelihood"].value == pytest.approx(log_likelihood)
    assert found["CRPS"].value == pytest.approx(crps, rel=1e-6)


def test_errors_and_sharpness_by_hand() -> None:
    found = values.figures(np.array([1.0, 2.0, 2.0]), np.array([4.0, 9.0, 0.0]), np.array([1.0, 5.0, -1.0]))
    assert found["RMSE"].value == pytest.approx(np.sqrt((0 + 9 + 9) / 3))
    assert found["sharpness"].value == pytest.approx(5 / 3)
    constant = values.figures(np.full(3, 7.0), np.ones(3), np.full(3, 7.0))
    assert (constant["RMSE"].value, constant["RMSE"].error) == (0, 0)


def test_bounds_hold_their_ends() -> None:
    bounds = np.array([[0.0, 1.0], [0.0, 1.0], [2.0, 2.0], [2.0, 2.0]])
    assert values.holds(bounds, np.array([0.0, 1.0, 2.0, 2.1])).tolist() == [True, True, True, False]
    assert values.widths(bounds).tolist() == [1, 1, 0, 0]
