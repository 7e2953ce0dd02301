import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from caveat.models.answers.conformal import Sets, highest_coverage, quantile, scores


def plainly(p: NDArray[np.float64], sets: Sets) -> NDArray[np.float64]:
    """Compute scores by the definitions in the papers, class by class."""
    found = np.empty_like(p)
    for row, column in np.ndindex(p.shape):
        ahead = p[row] > p[row, column]
        ahead |= (p[row] == p[row, column]) & (np.arange(p.shape[1]) <= column)
        if sets == "lac":
            found[row, column] = 1 - p[row, column]
        else:
            found[row, column] = p[row][ahead].sum()
        if sets == "raps":
            found[row, column] += 0.01 * max(0, ahead.sum() - 5)
    return found


@pytest.mark.parametrize("sets", ["lac", "aps", "raps"])
def test_scores_equal_their_definition(sets: Sets) -> None:
    p = np.random.default_rng(0).dirichlet(np.full(9, 0.3), 200)
    p[0] = 1 / 9
    np.testing.assert_allclose(scores(p, sets), plainly(p, sets), atol=1e-12)


def test_nearly_certain_rows_have_different_scores() -> None:
    p = np.array([[1.0, 1e-12, 1e-13], [1.0, 1e-14, 1e-15]], np.float32)
    first, second = scores(p, "lac")[:, 0]
    assert first == pytest.approx(1.1e-12, rel=1e-3)
    assert second == pytest.approx(1.1e-14, rel=0.1)


@pytest.mark.parametrize("coverage", [0.1, 0.5, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("rows", [99, 100, 359])
def test_the_truth_is_held_at_the_asked_rate(rows: int, coverage: float) -> None:
    """For any continuous score, the coverage has the law Beta(k, n + 1 - k)."""
    random = np.random.default_rng(rows)
    held = [stats.norm.cdf(quantile(np.sort(random.normal(size=rows)), coverage)) for _ in range(2000)]
    k = np.ceil((rows + 1) * coverage - 1e-9)
    assert stats.kstest(held, stats.beta(k, rows + 1 - k).cdf).pvalue > 1e-4
    assert k / (rows + 1) >= coverage - 1e-9


def test_the_highest_coverage_takes_the_last_score() -> None:
    ascending = np.arange(99.0)
    assert quantile(ascending, highest_coverage(99)) == 98
    assert quantile(ascending, 0.001) == 0
