import numpy as np

from caveat.training.data.dataset import Part, Split
from caveat.training.sample import sample, with_few_validated


def part(*numbers: int) -> Part:
    rows = np.array(numbers)
    return Part(rows[:, None] * 1.0, rows * 10.0)


def test_a_sample_keeps_order_and_truths_and_depends_on_the_seed() -> None:
    whole = part(*range(100))
    first, again, other = (sample(whole, 30, seed) for seed in (1, 1, 2))
    assert len(first) == 30
    assert (np.diff(first.y) > 0).all()
    np.testing.assert_array_equal(first.x[:, 0] * 10, first.y)
    np.testing.assert_array_equal(first.y, again.y)
    assert not np.array_equal(first.y, other.y)
    assert sample(whole, 100, 1) is whole


def test_the_validation_rows_beyond_the_limit_train() -> None:
    parts = Split(part(*range(5)), part(*range(5, 25)), part(*range(25, 40)))
    few = with_few_validated(parts, seed=3, most=8)
    assert len(few.validation) == 8
    assert few.test is parts.test
    joined = np.concatenate([few.train.y, few.validation.y])
    assert sorted(joined) == [10.0 * number for number in range(25)]
    np.testing.assert_array_equal(few.train.x[:, 0] * 10, few.train.y)
    assert with_few_validated(parts, seed=3, most=20) is parts
