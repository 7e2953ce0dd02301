import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from caveat.models.answers.conformal import adaptive, highest_coverage, least_ambiguous, p_values, quantile


def plainly(p: NDArray[np.float64], chance: NDArray[np.float64], regularised: bool) -> NDArray[np.float64]:
    """Compute scores by the definitions in the papers, class by class; classes of a tie are one class."""
    found = np.empty_like(p)
    for row, column in np.ndindex(p.shape):
        ahead, alike = p[row] > p[row, column], p[row] == p[row, column]
        found[row, column] = p[row][ahead].sum() + chance[row] * p[row][alike].sum()
        if regularised:
            found[row, column] += 0.01 * max(0, (ahead | alike).sum() - 5)
    return found


@pytest.mark.parametrize("regularised", [False, True])
def test_adaptive_scores_equal_their_definition(regularised: bool) -> None:
    random = np.random.default_rng(0)
    p = random.dirichlet(np.full(9, 0.3), 200)
    p[0], p[1] = 1 / 9, [0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05]
    chance = random.random(200)
    np.testing.assert_allclose(
        adaptive(p, chance, regularised) + 1, plainly(p, chance, regularised), atol=1e-12
    )


def test_classes_of_equal_probability_have_equal_scores_whatever_their_order() -> None:
    p = np.array([[0.2, 0.4, 0.2, 0.2], [0.2, 0.2, 0.2, 0.4]])
    found = adaptive(p, np.array([0.25, 0.25])) + 1
    assert found[0].tolist() == pytest.approx([0.55, 0.1, 0.55, 0.55])
    assert found[1].tolist() == pytest.approx([0.55, 0.55, 0.55, 0.1])


def test_a_sure_class_is_told_from_others_whose_probability_it_rounds_away() -> None:
    (found,) = adaptive(np.array([[1.0, 4e-18, 4e-18]]), np.array([0.9]))
    assert found[0] == pytest.approx(-0.1)
    assert found[1] == found[2] == pytest.approx(-8e-19, abs=1e-30)


def test_the_score_of_the_truth_is_uniform_if_the_probabilities_are_true() -> None:
    random = np.random.default_rng(1)
    p = random.dirichlet(np.full(5, 0.2), 4000)
    p[:400] = [1, 0, 0, 0, 0]
    y = (random.random((4000, 1)) > p.cumsum(axis=1)[:, :-1]).sum(axis=1)
    scores = adaptive(p, random.random(4000))[np.arange(4000), y] + 1
    assert stats.kstest(scores, "uniform").pvalue > 1e-4


def test_least_ambiguous_scores_are_the_odds_against_a_class() -> None:
    p = np.random.default_rng(0).dirichlet(np.full(9, 0.3), 200)
    np.testing.assert_allclose(least_ambiguous(p), (1 - p) / p, rtol=1e-9, atol=1e-12)


def test_nearly_certain_rows_have_different_scores() -> None:
    p = np.array([[1.0, 1e-12, 1e-13], [1.0, 1e-14, 1e-15]], np.float32)
    first, second = least_ambiguous(p)[:, 0]
    assert first == pytest.approx(1.1e-12, rel=1e-3)
    assert second == pytest.approx(1.1e-14, rel=0.1)


def test_classes_that_are_nearly_excluded_have_different_scores() -> None:
    first, second, third = least_ambiguous(np.array([[1.0, 4e-18, 0.0]]))[0]
    assert first < second == pytest.approx(2.5e17)
    assert second < third < np.inf


@pytest.mark.parametrize("coverage", [0.1, 0.5, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("rows", [99, 100, 359])
def test_the_truth_is_held_at_the_asked_rate(rows: int, coverage: float) -> None:
    """For any continuous score, the coverage has the law Beta(k, n + 1 - k)."""
    random = np.random.default_rng(rows)
    held = [stats.norm.cdf(quantile(np.sort(random.normal(size=rows)), coverage)) for _ in range(2000)]
    k = np.ceil((rows + 1) * coverage - 1e-9)
    assert stats.kstest(held, stats.beta(k, rows + 1 - k).cdf).pvalue > 1e-4
    assert k / (rows + 1) >= coverage - 1e-9


def test_the_highest_coverage_takes_the_last_score_and_a_higher_one_takes_all() -> None:
    ascending = np.arange(99.0)
    assert quantile(ascending, highest_coverage(99)) == 98
    assert quantile(ascending, 0.991) == np.inf
    assert quantile(ascending, 0.001) == 0
    assert quantile(np.empty(0), 0.1) == np.inf


def test_p_values_count_the_calibration_rows_that_conform_no_better() -> None:
    ascending = np.array([0.1, 0.2, 0.2, 0.4])
    np.testing.assert_allclose(
        p_values(np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5]), ascending), [1, 1, 0.8, 0.4, 0.4, 0.2]
    )
    assert p_values(np.array([0.5]), np.empty(0)) == [1]


def test_p_values_of_exchangeable_rows_are_small_no_more_often_than_they_say() -> None:
    random = np.random.default_rng(2)
    found = []
    for _ in range(3000):
        *known, fresh = random.integers(0, 12, 20)  # with ties
        found.append(p_values(np.array([fresh]), np.sort(known).astype(np.float64))[0])
    for rate in (0.05, 0.1, 0.3, 0.5):
        assert (np.array(found) <= rate).sum() <= stats.binom.ppf(1 - 1e-4, 3000, rate)
