from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from caveat.models.drift.ranks import Ranks

LAWS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "continuous": lambda random, rows: random.normal(size=rows),
    "ten values": lambda random, rows: random.integers(0, 10, rows).astype(float),
    "half zero": lambda random, rows: np.maximum(random.normal(size=rows), 0),
}
SERIES, KNOWN, ROWS = 400, 60, 300


@pytest.fixture(scope="module", params=LAWS)
def ranks(request: pytest.FixtureRequest) -> np.ndarray:
    """Rank series of exchangeable rows by the fraction of smaller rows, shape (SERIES, ROWS)."""
    found = []
    for seed in range(SERIES):
        random = np.random.default_rng(seed)
        rows = LAWS[request.param](random, KNOWN + ROWS)
        ranked = Ranks(rows[:KNOWN], random)
        found.append(np.concatenate([ranked.of(rows[i : i + 30]) for i in range(KNOWN, KNOWN + ROWS, 30)]))
    both = np.array(found)
    np.testing.assert_allclose(both.sum(axis=-1), 1)
    return both[..., 1]


def test_ranks_of_exchangeable_rows_are_uniform(ranks: np.ndarray) -> None:
    assert stats.kstest(ranks[:, ::7].ravel(), "uniform").pvalue > 1e-4


def test_ranks_of_exchangeable_rows_are_independent(ranks: np.ndarray) -> None:
    """Means of series vary as for independent ranks; ranks among known rows vary six times as much."""
    squares = ((ranks.mean(axis=1) - 0.5) ** 2).sum() * 12 * ROWS
    assert stats.chi2.ppf(1e-4, SERIES) < squares < stats.chi2.ppf(1 - 1e-4, SERIES)
    early, late = ranks[:, : ROWS // 2].mean(axis=1), ranks[:, ROWS // 2 :].mean(axis=1)
    assert abs(stats.pearsonr(early, late).statistic) < 4 / np.sqrt(SERIES)


def test_a_rank_is_a_fraction_of_the_rows_up_to_the_row() -> None:
    ranks = Ranks(np.array([1.0, 2.0, 2.0, 3.0]), np.random.default_rng(0))
    found = ranks.of(np.array([0.0, 2.0, 2.5, 2.6, 2.0]))[:, 1]
    # Among 5, 6, ... 9 rows: the number of smaller rows, and of rows that are not larger.
    for rank, rows, least, most in zip(found, range(5, 10), (0, 2, 5, 5, 2), (1, 5, 6, 7, 6), strict=True):
        assert least < rank * rows <= most


def test_no_rank_is_zero_for_infinite_scores() -> None:
    ranks = Ranks(np.array([-np.inf, 0.0, np.inf]), np.random.default_rng(0))
    found = ranks.of(np.array([-np.inf, np.inf, np.nan, 0.0]))
    assert ((found > 0) & (found < 1)).all()
