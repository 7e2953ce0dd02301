import itertools

import numpy as np
import pytest

from caveat.training.measures.risks import aurc, risks


def test_risk_is_the_error_rate_of_the_most_certain_answers() -> None:
    wrong = np.array([True, False, True, False])
    uncertainty = np.array([0.9, 0.1, 0.4, 0.2])
    np.testing.assert_allclose(risks(uncertainty, wrong), [0, 0, 1 / 3, 2 / 4])
    assert aurc(uncertainty, wrong) == pytest.approx((1 / 3 + 1 / 2) / 4)


@pytest.mark.parametrize(
    "uncertainty", [[0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 1, 2], [1, 0, 1, 0], [3, 1, 2, 0]]
)
def test_ties_count_as_the_mean_over_their_orders(uncertainty: list[float]) -> None:
    wrong = np.array([True, False, False, True])
    keys = np.array(uncertainty, np.float64)
    orders = [
        order for order in map(list, itertools.permutations(range(4))) if (np.diff(keys[order]) >= 0).all()
    ]
    expected = np.mean([wrong[order].cumsum() / np.arange(1, 5) for order in orders], axis=0)
    for order in map(list, itertools.permutations(range(4))):
        np.testing.assert_allclose(risks(keys[order], wrong[order]), expected)
        assert aurc(keys[order], wrong[order]) == pytest.approx(expected.mean())


@pytest.mark.parametrize(("wrong", "expected"), [([False] * 3, 0.0), ([True] * 3, 1.0), ([True], 1.0)])
def test_risk_where_all_are_right_or_all_are_wrong(wrong: list[bool], expected: float) -> None:
    for uncertainty in (np.zeros(len(wrong)), np.arange(float(len(wrong)))):
        assert aurc(uncertainty, np.array(wrong)) == expected


def test_risk_of_squared_errors_with_ties() -> None:
    squares = np.array([4.0, 0.0, 1.0])
    np.testing.assert_allclose(risks(np.array([1.0, 1.0, 2.0]), squares), [2, 2, 5 / 3])
