import numpy as np
import pytest
from scipy import stats

from caveat.models.answers.selection import binomial_cdf, lowest_error, threshold


@pytest.mark.parametrize(
    ("successes", "trials", "rate"),
    [(0, 10, 0.3), (3, 10, 0.3), (10, 10, 0.3), (40, 5000, 0.01), (0, 299, 0.01)],
)
def test_binomial_probabilities_equal_those_of_scipy(successes: int, trials: int, rate: float) -> None:
    assert binomial_cdf(successes, trials, rate) == pytest.approx(stats.binom.cdf(successes, trials, rate))


def test_nearly_all_perfect_answers_are_given() -> None:
    uncertainty = np.random.default_rng(0).random(400)
    found = threshold(uncertainty, np.zeros(400, bool), 0.01)
    assert found is not None
    assert (uncertainty <= found).mean() > 0.97


def test_too_few_rows_give_no_threshold() -> None:
    assert threshold(np.arange(298.0), np.zeros(298, bool), 0.01) is None
    assert threshold(np.arange(299.0), np.zeros(299, bool), 0.01) is not None


@pytest.mark.parametrize(("max_error", "answers"), [(5e-324, False), (1e-300, False), (1 - 2**-53, True)])
def test_extreme_rates_are_handled(max_error: float, answers: bool) -> None:
    wrong = np.arange(400) % 2 == 0
    assert (threshold(np.arange(400.0), wrong, max_error) is not None) == answers


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("max_error", [0.05, 0.1])
def test_a_small_sure_part_of_the_rows_is_answered(max_error: float, seed: int) -> None:
    """Of 4,000 rows the surest 30 % are wrong at 0.5 %, and the others are not worth an answer."""
    random = np.random.default_rng(seed)
    uncertainty = random.random(4000)
    wrong = random.random(4000) < np.where(uncertainty < 0.3, 0.005, 0.5)
    found = threshold(uncertainty, wrong, max_error)
    assert found is not None
    assert 0.2 < found < 0.4


def test_a_test_starts_where_it_can_first_pass() -> None:
    """59 rows without an error support 5 %, 58 don't; whatever the less certain rows are."""
    for rows in (59, 100):
        wrong = np.arange(rows) >= 59
        assert threshold(np.arange(rows), wrong, 0.05) == 58
    assert threshold(np.arange(100), np.arange(100) >= 58, 0.05) is None


def test_one_error_among_the_surest_rows_does_not_end_everything() -> None:
    wrong = np.arange(4000) == 3
    found = threshold(np.arange(4000), wrong, 0.02)
    assert found is not None
    assert found > 3900


def test_ties_are_answered_together() -> None:
    uncertainty = np.repeat([0.0, 1.0], [300, 100])
    wrong = uncertainty == 1.0
    assert threshold(uncertainty, wrong, 0.05) == 0.0


def test_the_lowest_rate_has_a_threshold_and_a_lower_one_has_none() -> None:
    random = np.random.default_rng(0)
    uncertainty = random.random(500)
    wrong = random.random(500) < 0.3 * uncertainty
    lowest = lowest_error(uncertainty, wrong)
    assert threshold(uncertainty, wrong, lowest) is not None
    assert threshold(uncertainty, wrong, lowest - 0.001) is None


@pytest.mark.parametrize("rows", [50, 100, 359])
@pytest.mark.parametrize("wrong", [1, 3])
def test_a_rate_is_supported_if_a_lower_one_is(rows: int, wrong: int) -> None:
    """The surest rows are wrong, so that only later starts pass."""
    uncertainty = np.arange(rows)
    kept = [
        threshold(uncertainty, uncertainty < wrong, rate) is not None for rate in np.arange(1, 1000) / 1000
    ]
    assert kept == sorted(kept)
    assert any(kept)


def test_the_lowest_rate_is_above_one_that_is_refused() -> None:
    random = np.random.default_rng(0)
    uncertainty = random.random(4000)
    wrong = random.random(4000) < np.where(uncertainty < 0.3, 0.005, 0.5)
    refused = [rate for rate in (0.001, 0.002, 0.005, 0.01) if threshold(uncertainty, wrong, rate) is None]
    assert refused
    for rate in refused:
        lowest = lowest_error(uncertainty, wrong, above=rate)
        assert rate < lowest < 0.03
        assert threshold(uncertainty, wrong, lowest) is not None


@pytest.mark.parametrize("max_error", [0.02, 0.05, 0.1])
def test_the_rate_is_kept_with_the_promised_confidence(max_error: float) -> None:
    """A row of uncertainty u is wrong with probability u**2 / 2, so that the true rate is known."""
    random = np.random.default_rng(1)
    broken = answered = 0
    for _ in range(600):
        uncertainty = random.random(500)
        found = threshold(uncertainty, random.random(500) < 0.5 * uncertainty**2, max_error)
        if found is not None:
            answered += 1
            broken += found**2 / 6 > max_error  # the mean of u**2 / 2 over u below it
    assert answered > 60 or max_error == 0.02
    assert broken <= stats.binom.ppf(0.9999, 600, 0.05)


@pytest.mark.parametrize("max_error", [0.02, 0.05, 0.1])
def test_the_rate_is_kept_where_no_threshold_keeps_it(max_error: float) -> None:
    """Rows are wrong at just above the rate whatever their uncertainty, so that any threshold is an error."""
    random = np.random.default_rng(2)
    broken = sum(
        threshold(random.random(2000), random.random(2000) < 1.001 * max_error, max_error) is not None
        for _ in range(1000)
    )
    assert broken <= stats.binom.ppf(0.9999, 1000, 0.05)
