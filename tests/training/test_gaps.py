"""A network trained on rows with missing values, dates and categories that are unknown to it."""

from pathlib import Path

import numpy as np
import pytest

from caveat.models.bundles import store
from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.features import OTHER, Feature
from caveat.models.bundles.signature import Input
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.training.data.dataset import Dataset
from caveat.training.options import Options
from caveat.training.train import train

ROWS = 300
FEATURES = (
    Feature(name="age", missing=True),
    Feature(name="pet", categories=("cat", "dog", "cow"), missing=True, other=True),
    Feature(name="day", dates="%d/%m/%Y", missing=True),
    Feature(name="dose"),
)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    random = np.random.default_rng(0)
    days = random.integers(9000, 19000, ROWS)
    x = np.stack(
        [random.normal(size=ROWS), random.integers(0, 3, ROWS), days, random.normal(size=ROWS)], axis=1
    )
    y = (x[:, 0] + x[:, 1] + np.sin(days) > 1).astype(np.int64)
    for column in range(3):
        x[random.random(ROWS) < 0.15, column] = np.nan
    x[random.random(ROWS) < 0.05, 1] = OTHER
    spec = Input(name="record", dtype="float64", shape=("rows", 4), features=FEATURES)
    return Dataset("records", "classification", spec, x, y, target="sick", classes=("no", "yes"))


@pytest.fixture(scope="module")
def bundle(dataset: Dataset) -> Bundle:
    return train(dataset, Options(epochs=3, hidden=(16,), samples=20))


def test_rows_with_gaps_have_the_same_answers_alone_and_together(dataset: Dataset, bundle: Bundle) -> None:
    predictor = Predictor(bundle, threads=1)
    assert bundle.manifest.calibration is not None
    assert bundle.manifest.least_rows == 1
    together = estimate(predictor, {"record": dataset.x[:60]}, 20, 0)
    assert np.isnan(dataset.x[:60]).any()
    assert (dataset.x[:60] == OTHER).any()
    for row in range(60):
        alone = estimate(predictor, {"record": dataset.x[row : row + 1]}, 20, 0)
        for name, column in alone.items():
            assert column.tobytes() == together[name][row : row + 1].tobytes(), name
    assert np.isfinite(together["mean"]).all()


def test_the_bundle_states_its_features_and_shows_an_example_of_them(bundle: Bundle, tmp_path: Path) -> None:
    loaded = Bundle.load(store.add(tmp_path, bundle))
    assert loaded.manifest.inputs[0].features == FEATURES
    assert loaded.manifest.example is not None
    predictor = Predictor(loaded, threads=1)
    assert np.isfinite(predictor.encode(loaded.manifest.example)["record"]).all()
    row = {"age": None, "pet": "COW ", "day": "", "dose": 1}
    found = predictor.predict(predictor.encode([row, {**row, "pet": "lion"}, {**row, "pet": None}]))
    assert len(np.unique(found[:, 0])) == 3
