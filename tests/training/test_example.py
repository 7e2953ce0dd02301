import json

import numpy as np
import pytest

from caveat.models.bundles.signature import Input
from caveat.training.data.bundled import BUNDLED
from caveat.training.example import example


@pytest.mark.parametrize("name", BUNDLED)
def test_an_example_reads_back_as_the_same_rows(name: str) -> None:
    dataset = BUNDLED[name]()
    written = json.loads(json.dumps(example(dataset.input, dataset.x[:2])))
    np.testing.assert_array_equal(dataset.input.encode(written), dataset.x[:2])


def test_numbers_have_few_digits() -> None:
    spec = Input(name="x", dtype="float32", shape=("rows", 3))
    assert json.dumps(example(spec, np.array([[0.1, 2, -3.5]], np.float32))) == "[[0.1, 2, -3.5]]"


def test_long_rows_give_no_example() -> None:
    spec = Input(name="x", dtype="float32", shape=("rows", 40, 40))
    assert example(spec, np.zeros((2, 40, 40), np.float32)) is None
