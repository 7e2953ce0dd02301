from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caveat.training.data.arrays import read_arrays
from caveat.training.errors import DataError

X = np.random.default_rng(0).normal(size=(30, 3, 4))
Y = np.arange(30) % 2


def write(folder: Path, **arrays: Any) -> Path:
    path = folder / "signals.npz"
    np.savez(path, **arrays)
    return path


def test_rows_of_any_shape_are_read(tmp_path: Path) -> None:
    dataset = read_arrays(write(tmp_path, x=X, y=Y), None)
    assert (dataset.input.dtype, dataset.input.shape) == ("float32", ("rows", 3, 4))
    np.testing.assert_array_equal(dataset.x, X.astype(np.float32))
    assert dataset.classes == ("0", "1")
    assert (dataset.name, dataset.target) == ("signals", "y")


def test_targets_may_be_text_or_values(tmp_path: Path) -> None:
    assert read_arrays(write(tmp_path, x=X, y=np.array(["a", "b"])[Y]), None).classes == ("a", "b")
    assert read_arrays(write(tmp_path, x=X, y=X[:, 0, 0]), None).task == "regression"
    assert read_arrays(write(tmp_path, x=X, y=Y), "regression").task == "regression"


def test_several_targets_are_columns_of_y(tmp_path: Path) -> None:
    dataset = read_arrays(write(tmp_path, x=X, y=X[:, :, 0]), None)
    assert (dataset.target, dataset.targets, dataset.task) == (None, ("y0", "y1", "y2"), "regression")
    np.testing.assert_array_equal(dataset.y, X[:, :, 0])
    digest = read_arrays(write(tmp_path, x=X, y=X[:, :, 0]), None).digest
    assert digest == dataset.digest != read_arrays(write(tmp_path, x=X, y=X[:, 0, 0]), None).digest
    with pytest.raises(DataError, match="y: several targets make a regression"):
        read_arrays(write(tmp_path, x=X, y=X[:, :, 0]), "classification")
    with pytest.raises(DataError, match="'y1' holds one value only; there is nothing to learn"):
        read_arrays(write(tmp_path, x=X, y=X[:, :, 0] * [1, 0, 1]), None)


def spoilt(value: float) -> np.ndarray:
    x = X.copy()
    x[0, 0, :2] = value
    return x


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "no array 'y'; expected x and y, the file holds x"),
        ({"features": X, "y": Y}, "no array 'x'; expected x and y, the file holds features, y"),
        ({"x": X, "y": Y[:-1]}, "x has 30 rows and y has 29; expected equal numbers"),
        ({"x": X[:, 0, 0], "y": Y}, "x is float64 of shape (30,); expected numbers of shape (rows, ...)"),
        ({"x": X.astype(str), "y": Y}, "x is <U32 of shape (30, 3, 4); expected numbers"),
        ({"x": X, "y": X[:, :1, 0]}, "y is float64 of shape (30, 1); expected shape (rows,), or"),
        ({"x": X, "y": X}, "y is float64 of shape (30, 3, 4); expected shape (rows,), or"),
        ({"x": X, "y": X[:, :, 0].astype(str)}, "y: holds text; a regression needs numbers"),
        ({"x": spoilt(np.nan), "y": Y}, "x: 2 of 360 values are missing or infinite in float32"),
        ({"x": spoilt(1e300), "y": Y}, "x: 2 of 360 values are missing or infinite in float32"),
        ({"x": X, "y": np.where(Y, np.nan, 0.5)}, "y: 15 of 30 values are missing or infinite in float64"),
        ({"x": X, "y": np.array([object()] * 30)}, "y: Object arrays cannot be loaded"),
        (
            {"x": X, "y": Y.astype("S1")},
            "y is |S1 of shape (30,); expected numbers, booleans or text; convert",
        ),
        ({"x": X, "y": Y.astype("M8[D]")}, "y is datetime64[D] of shape (30,); expected numbers"),
        ({"x": X, "y": Y.astype(complex)}, "y is complex128 of shape (30,); expected numbers"),
    ],
)
def test_arrays_that_cannot_be_learned_from_are_refused(
    arrays: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path, **arrays)
    with pytest.raises(DataError) as raised:
        read_arrays(path, None)
    assert str(raised.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 nor this"])
def test_a_broken_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.npz: not an NPZ file"):
        read_arrays(path, None)
