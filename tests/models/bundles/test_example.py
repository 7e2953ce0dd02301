import numpy as np
import pytest

from caveat.models.bundles import example
from caveat.models.bundles.bundle import pack
from caveat.models.bundles.features import Feature
from caveat.models.bundles.manifest import EXAMPLE
from caveat.models.bundles.signature import Input
from caveat.models.errors import InputError
from caveat.models.predictor import Predictor
from tests.bundles import linear_regression

IMAGE = Input(name="image", dtype="float32", shape=("rows", 3, 224, 224))
TOKENS = Input(name="tokens", dtype="int64", shape=("rows", "length"), sizes={"length": (2, None)}, below=9)


def test_without_an_example_rows_are_zeros_of_the_least_sizes() -> None:
    manifest = linear_regression().manifest.model_copy(update={"inputs": (TOKENS,)})
    assert example.example_rows(manifest) == [[0, 0]]
    assert example.shown_rows(manifest) == [[0, 0]]


def test_the_manifests_example_goes_first() -> None:
    manifest = linear_regression().manifest.model_copy(update={"example": [[1, 2, 3]]})
    assert example.example_rows(manifest, np.ones((1, 3))) == [[1, 2, 3]]


@pytest.mark.parametrize("inputs", [(IMAGE,), (IMAGE, TOKENS)], ids=["one input", "two inputs"])
def test_long_rows_are_not_shown(inputs: tuple[Input, ...]) -> None:
    manifest = linear_regression().manifest.model_copy(update={"inputs": inputs})
    assert example.shown_rows(manifest) is None


@pytest.mark.parametrize("inputs", [(IMAGE,), (IMAGE, TOKENS)], ids=["one input", "two inputs"])
def test_the_file_reads_back_as_the_same_rows(inputs: tuple[Input, ...]) -> None:
    rows = {"image": np.ones((1, 3, 224, 224), np.float32), "tokens": np.array([[1, 8, 3]])}
    found = example.read(inputs, example.write(inputs, rows))
    for spec in inputs:
        array = found[spec.name] if isinstance(found, dict) else found
        np.testing.assert_array_equal(array, rows[spec.name])


def test_a_predictor_has_the_rows_of_the_file() -> None:
    bundle = linear_regression()
    content = example.write(bundle.manifest.inputs, {"x": np.array([[1, 2, 3]], np.float32)})
    predictor = Predictor(pack(bundle.manifest, {**bundle.files, EXAMPLE: content}), threads=1)
    assert predictor.example is not None
    np.testing.assert_array_equal(np.asarray(predictor.example), [[1, 2, 3]])


def test_without_an_example_features_have_their_first_values() -> None:
    features = (
        Feature(name="day", dates="%d/%m/%Y", missing=True),
        Feature(name="pet", categories=("cat",), other=True),
        Feature(name="age"),
    )
    table = Input(name="table", dtype="float64", shape=("rows", 3), features=features)
    manifest = linear_regression().manifest.model_copy(update={"inputs": (table,)})
    assert example.example_rows(manifest) == [{"day": "1970-01-01", "pet": "cat", "age": 0}]


def test_the_file_may_lack_values_of_features() -> None:
    features = tuple(Feature(name=f"f{number}", missing=number > 0) for number in range(1500))
    table = Input(name="table", dtype="float32", shape=("rows", 1500), features=features)
    rows = np.ones((1, 1500), np.float32)
    rows[0, 3] = np.nan
    found = example.read((table,), example.write((table,), {"table": rows}))
    np.testing.assert_array_equal(np.asarray(found), rows)
    rows[0, 0] = np.nan
    with pytest.raises(InputError, match="finite number"):
        example.read((table,), example.write((table,), {"table": rows}))
