"""Data sets that ship with scikit-learn, by name."""

from collections.abc import Callable

import numpy as np
from sklearn.datasets import load_diabetes, load_digits

from caveat.models.bundles.features import Feature
from caveat.models.bundles.signature import ROWS, Input
from caveat.training.data.dataset import Dataset


def digits() -> Dataset:
    """Load 1,797 scans of handwritten digits, 8 x 8 pixels from 0 to 16 (Alpaydin & Kaynak, 1998)."""
    data = load_digits()
    return Dataset(
        name="digits",
        task="classification",
        input=Input(name="image", dtype="float32", shape=(ROWS, 8, 8)),
        x=data.images.astype(np.float32),
        y=data.target.astype(np.int64),
        target="digit",
        public=True,
        classes=tuple(str(digit) for digit in data.target_names),
    )


def diabetes() -> Dataset:
    """Load 442 patients with the progression of their diabetes after a year (Efron et al., 2004).

    A row has ten measurements from the start of the year, in their own units.
    """
    data = load_diabetes(scaled=False)
    features = tuple(Feature(name=name) for name in data.feature_names)
    return Dataset(
        name="diabetes",
        task="regression",
        input=Input(name="patient", dtype="float64", shape=(ROWS, len(features)), features=features),
        x=data.data.astype(np.float64),
        y=data.target.astype(np.float64),
        target="disease progression",
        public=True,
    )


BUNDLED: dict[str, Callable[[], Dataset]] = {"digits": digits, "diabetes": diabetes}
