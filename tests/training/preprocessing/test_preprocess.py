import numpy as np
import torch
from torch import Tensor

from caveat.models.bundles.features import Feature
from caveat.models.bundles.signature import Input
from caveat.training.preprocessing.preprocess import preprocess

VECTOR = Input(name="x", dtype="float64", shape=("rows", 3))


def run(spec: Input, train: np.ndarray, rows: np.ndarray) -> np.ndarray:
    found: Tensor = preprocess(spec, train)(torch.from_numpy(rows))
    assert found.dtype == torch.float32
    return found.numpy()


def test_each_feature_of_a_vector_is_standardised_by_its_own_moments() -> None:
    train = np.random.default_rng(0).normal([5, -3, 1e6], [1, 10, 1e-3], size=(500, 3))
    found = run(VECTOR, train, train)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-4)


def test_moments_come_from_the_training_rows() -> None:
    found = run(VECTOR, np.array([[0.0, 0, 0], [2, 4, 6]]), np.array([[3.0, 2, 0]]))
    np.testing.assert_array_equal(found, [[2, 0, -1]])


def test_a_constant_feature_is_not_divided() -> None:
    train = np.array([[0.1, 1, 2]] * 3)
    np.testing.assert_allclose(run(VECTOR, train, train), 0, atol=1e-7)
    np.testing.assert_allclose(run(VECTOR, train, train + 1), 1, rtol=1e-6)


def test_seconds_since_1970_keep_their_digits() -> None:
    times = 1_700_000_000.0 + np.arange(5)[:, None] * np.ones(3)
    expected = (np.arange(5) - 2) / np.arange(5).std()
    np.testing.assert_allclose(run(VECTOR, times, times)[:, 0], expected, rtol=1e-6)


def test_an_image_is_standardised_as_a_whole() -> None:
    images = np.random.default_rng(0).uniform(0, 16, size=(50, 4, 4)).astype(np.float32)
    images[:, 0, 0] = 0  # a constant pixel keeps its distance from the mean
    found = run(Input(name="x", dtype="float32", shape=("rows", 4, 4)), images, images)
    np.testing.assert_allclose(found, (images - images.mean()) / images.std(), atol=1e-5)


def test_each_feature_of_a_sequence_is_standardised_over_all_steps_of_any_length() -> None:
    generator = np.random.default_rng(0)
    train = generator.normal([5, 1e3], [1, 10], size=(50, 6, 2)).astype(np.float32)
    mean, deviation = train.mean(axis=(0, 1)), train.std(axis=(0, 1))
    prepare = preprocess(Input(name="x", dtype="float32", shape=("rows", "length", 2)), train, sequences=True)
    for length in (6, 1, 9):
        rows = generator.normal(size=(3, length, 2)).astype(np.float32)
        np.testing.assert_allclose(prepare(torch.from_numpy(rows)), (rows - mean) / deviation, rtol=1e-4)


def test_categories_become_one_hot_after_the_numbers() -> None:
    features = (
        Feature(name="pet", categories=("cat", "cow", "dog")),
        Feature(name="age"),
        Feature(name="ill", categories=("false", "true")),
    )
    spec = Input(name="x", dtype="float64", shape=("rows", 3), features=features)
    train = np.array([[0.0, 10, 0], [2, 20, 1]])
    np.testing.assert_array_equal(run(spec, train, train), [[-1, 1, 0, 0, 1, 0], [1, 0, 0, 1, 0, 1]])


def test_categories_without_numbers_become_one_hot() -> None:
    spec = Input(
        name="x",
        dtype="float64",
        shape=("rows", 1),
        features=(Feature(name="pet", categories=("cat", "dog")),),
    )
    train = np.array([[0.0], [1.0]])
    np.testing.assert_array_equal(run(spec, train, train), [[1, 0], [0, 1]])
