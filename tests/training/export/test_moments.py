"""The permutation test of the self-test: its rate of false alarms, and the differences that it finds."""

import numpy as np
import pytest
from numpy.typing import NDArray

from caveat.training.export.moments import PERMUTATIONS, differ


def sample(
    random: np.random.Generator, passes: int = 200, /, mean: float = 0.0, spread: float = 1.0
) -> NDArray[np.float32]:
    """Draw passes of 4 outputs, each a sum of 5 terms with dropout: neither normal nor smooth."""
    kept = random.random((passes, 4, 5)) < 0.7
    sums: NDArray[np.float64] = (kept * [1, -2, 3, 0.5, 1.5] / 0.7).sum(axis=-1)
    return (mean + spread * sums).astype(np.float32)


def test_equal_distributions_seldom_differ() -> None:
    """Each of 300 comparisons of equal distributions is refused with a probability of at most 1 / 1,000."""
    random = np.random.default_rng(0)
    refused = sum(differ(sample(random), sample(random), seed=seed) for seed in range(300))
    # More than 4 has a probability below 4e-6 under Binomial(300, 1 / (PERMUTATIONS + 1)).
    assert PERMUTATIONS == 999
    assert refused <= 4


@pytest.mark.parametrize(
    "law", [{"mean": 1.5}, {"mean": -1.0, "spread": 1.3}, {"spread": 1.6}, {"spread": 0.6}], ids=str
)
def test_different_moments_are_found(law: dict[str, float]) -> None:
    random = np.random.default_rng(1)
    found = [differ(sample(random), sample(random, **law), seed=seed) for seed in range(20)]
    assert sum(found) >= 18


@pytest.mark.parametrize("law", [{"mean": 4.0}, {"mean": -4.0}, {"spread": 3.0}, {"spread": 0.3}], ids=str)
def test_few_passes_find_a_coarse_difference(law: dict[str, float]) -> None:
    """With 25 passes, the least number, 1.5 standard deviations of the mean or a factor of 3 are found."""
    random = np.random.default_rng(1)
    found = [differ(sample(random, 25), sample(random, 25, **law), seed=seed) for seed in range(20)]
    assert sum(found) >= 18


def test_equal_constants_do_not_differ() -> None:
    assert not differ(np.ones((5, 2), np.float32), np.ones((5, 2), np.float32))


def test_different_constants_differ() -> None:
    assert differ(np.zeros((50, 2), np.float32), np.ones((50, 2), np.float32))


def test_blur_hides_a_difference_of_rounding_larger_than_the_spread_of_the_passes() -> None:
    random = np.random.default_rng(0)
    ours, same = 1 + 1e-7 * random.normal(size=(2, 200, 3)).astype(np.float32)
    shifted = same + np.float32(1e-6)
    assert differ(ours, shifted)
    assert not differ(ours, shifted, blur=1e-4)
