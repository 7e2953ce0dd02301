import numpy as np
import pytest
from scipy import stats

from caveat.models.answers.chance import chances


def test_the_numbers_are_uniform_and_independent_of_each_other() -> None:
    found = chances({"x": np.arange(20_000, dtype=np.float32)[:, None]}, seed=3)
    assert stats.kstest(found, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 4 / np.sqrt(20_000)


def test_a_row_has_its_number_wherever_it_stands() -> None:
    inputs = {"x": np.random.default_rng(0).normal(size=(5, 3)), "codes": np.arange(10).reshape(5, 2)}
    together = chances(inputs, seed=1)
    for row in range(5):
        assert chances({name: array[[row]] for name, array in inputs.items()}, seed=1) == together[row]
    turned = {name: array[::-1] for name, array in reversed(inputs.items())}
    np.testing.assert_array_equal(chances(turned, seed=1), together[::-1])


@pytest.mark.parametrize(
    "other",
    [
        {"x": np.array([[1.0, 2.0, 4.0]])},
        {"x": np.array([[1.0], [2.0], [3.0]]).T[:, :, None]},
        {"x": np.array([[1.0, 2.0, 3.0]], np.float32)},
    ],
    ids=["another value", "another shape", "another type"],
)
def test_other_rows_have_other_numbers(other: dict[str, np.ndarray]) -> None:
    assert chances({"x": np.array([[1.0, 2.0, 3.0]])}, seed=0) != chances(other, seed=0)


def test_equal_rows_have_equal_numbers_however_zero_and_missing_are_encoded() -> None:
    quiet, other = np.array([0x7FF8000000000000, 0xFFF8000000000001], np.uint64).view(np.float64)
    found = [
        chances({"x": np.array([[1.0, *pair]])}, 0) for pair in ((quiet, 0.0), (other, -0.0), (-quiet, 0.0))
    ]
    assert found[0] == found[1] == found[2]
    assert found[0] != chances({"x": np.array([[1.0, 0.0, 0.0]])}, 0)


def test_another_seed_gives_other_numbers() -> None:
    x = np.zeros((1, 2))
    assert len({chances({"x": x}, seed).item() for seed in (0, 1, 2**53 - 1)}) == 3


def test_zeros_of_either_sign_are_the_same_row() -> None:
    zeros = np.array([[0.0, 1.0], [-0.0, 1.0]])
    first, second = chances({"x": zeros}, seed=0)
    assert first == second
