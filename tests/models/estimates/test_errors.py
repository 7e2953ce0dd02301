import numpy as np
import pytest

from caveat.models.draws.strata import BLOCK
from caveat.models.estimates.errors import relative_error, stratified
from caveat.models.tasks.facts import ErrorRatios

KNOWN = ErrorRatios(greatest=0.16, ratios=(0.5, 0.8))


@pytest.mark.parametrize("passes", [1, 2, 24, 25, 26, 49, 50, 130])
def test_the_error_of_any_number_of_passes_follows_from_that_of_a_block(passes: int) -> None:
    """Passes that are correlated alike within blocks, drawn as such and averaged."""
    ratio = 0.6
    correlation = (ratio**2 - 1) / (BLOCK - 1)
    covariance = np.full((passes, passes), 0.0)
    for start in range(0, passes, BLOCK):
        covariance[start : start + BLOCK, start : start + BLOCK] = correlation
    np.fill_diagonal(covariance, 1)
    assert relative_error(passes, ratio) == pytest.approx(np.sqrt(covariance.mean() * passes))


def test_a_smaller_variance_has_a_larger_ratio() -> None:
    variance = np.array([[0.17, 0.16, 0.09], [0.08, 0.05, 0.04], [0.03, 0.001, 0]])
    expected = np.array([[0.5, 0.5, 0.5], [0.8, 0.8, 1], [1, 1, 1]])
    errors = np.sqrt(variance / 100)
    np.testing.assert_allclose(stratified(errors, 100, KNOWN), errors * expected)


def test_each_target_has_its_own_greatest_variance() -> None:
    known = ErrorRatios(greatest=(1.0, 100.0), ratios=(0.5, 0.8))
    errors = np.sqrt(np.array([[0.9, 0.9], [0.9, 90.0]]) / 50)
    np.testing.assert_allclose(stratified(errors, 50, known), errors * [[0.5, 1], [0.5, 0.5]])


def test_nothing_varies() -> None:
    found = stratified(np.zeros((2, 3)), 100, ErrorRatios(greatest=0.0, ratios=(1.0,)))
    np.testing.assert_array_equal(found, np.zeros((2, 3)))
