import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caveat.models.answers.uncertainty import Moments, Total, entropy


def test_variance_keeps_its_digits_far_from_zero() -> None:
    """The textbook sum of squares would be off by 100 % here."""
    values = np.array([1e6, 1e6 + 0.125, 1e6 + 0.25], np.float32).reshape(3, 1)
    moments = Moments()
    moments.add(values)
    assert moments.variance == pytest.approx(0.125**2, rel=1e-12)


def test_equal_passes_have_no_variance_at_all() -> None:
    moments = Moments()
    for _ in range(3):
        moments.add(np.full((10, 2), 0.1, np.float32))
    assert moments.variance.tolist() == [0, 0]


def test_a_single_column_is_summed_in_order() -> None:
    """NumPy sums a lone column pairwise, where the bits would depend on the cut into chunks."""
    column = np.random.default_rng(0).normal(size=(1000, 1))
    in_order = 0.0
    for value in column[:, 0]:
        in_order += float(value)
    total = Total()
    for part in (column[:300], column[300:]):
        total.add(part.copy())
    assert total.value[0] == in_order


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=20).filter(lambda p: sum(p) > 0.01))
@settings(deadline=None)
def test_entropy_lies_between_zero_and_that_of_the_uniform(weights: list[float]) -> None:
    probabilities = np.array(weights) / np.sum(weights)
    assert -1e-12 <= entropy(probabilities) <= np.log(len(weights)) + 1e-12
