import numpy as np

from caveat.training.data.bundled import diabetes, digits


def test_digits() -> None:
    dataset = digits()
    assert dataset.task == "classification"
    assert dataset.x.shape == (1797, 8, 8)
    assert dataset.x.dtype == np.float32
    assert (dataset.x.min(), dataset.x.max()) == (0, 16)
    assert dataset.classes == tuple("0123456789")
    assert (dataset.input.name, dataset.input.shape) == ("image", ("rows", 8, 8))


def test_diabetes_is_in_raw_units() -> None:
    dataset = diabetes()
    assert dataset.task == "regression"
    assert dataset.target == "disease progression"
    assert [feature.name for feature in dataset.input.features or ()][:4] == ["age", "sex", "bmi", "bp"]
    ages = dataset.x[:, 0]
    assert (ages.min(), ages.max()) == (19, 79)
    assert (dataset.y.min(), dataset.y.max()) == (25, 346)
