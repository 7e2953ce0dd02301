from pathlib import Path

import numpy as np
import pytest

from caveat.training.errors import DataError
from caveat.training.held_out import read_held_out, read_rows
from tests.bundles import drawn, linear_regression, linear_targets, tabular

TABLE = tabular().manifest
ARRAYS = linear_regression().manifest


def test_arrays_are_read(tmp_path: Path) -> None:
    inputs, truth = drawn(ARRAYS, 5, 0)
    np.savez(tmp_path / "rows.npz", x=inputs["x"], y=truth)
    found, y = read_held_out(tmp_path / "rows.npz", ARRAYS)
    np.testing.assert_array_equal(found["x"], inputs["x"])
    np.testing.assert_array_equal(y, truth)


@pytest.mark.parametrize("y", [[0, 1, 1], ["no", "yes", "yes"]])
def test_classes_are_read_by_name_or_number(tmp_path: Path, y: list[int] | list[str]) -> None:
    np.savez(tmp_path / "rows.npz", x=np.zeros((3, 3)), y=y)
    manifest = TABLE.model_copy(update={"inputs": ARRAYS.inputs})
    assert read_held_out(tmp_path / "rows.npz", manifest)[1].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((3, 3))}, "has the arrays x; expected x and y"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(3)}, "expected numbers of shape"),
        ({"x": np.zeros((3, 3)), "y": np.zeros(2)}, r"y has shape \(2,\); expected one truth for each of 3"),
        ({"x": np.zeros((3, 3)), "y": np.array(["a"] * 3)}, "holds text; a regression needs numbers"),
        ({"x": np.zeros((3, 3)), "y": np.array([0, np.nan, 1])}, r"y\[1\]: expected finite numbers, got nan"),
        (
            {"x": np.zeros((3, 3)), "y": np.array([0, 1, -np.inf])},
            r"y\[2\]: expected finite numbers, got -inf",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "rows.npz", **arrays)  # type: ignore[arg-type]  # none is called allow_pickle
    with pytest.raises(DataError, match=message):
        read_held_out(tmp_path / "rows.npz", ARRAYS)


def test_a_table_is_read_by_its_columns(tmp_path: Path) -> None:
    names = [feature.name for feature in TABLE.inputs[0].features or ()]
    categories = next(each.categories for each in TABLE.inputs[0].features or () if each.categories)
    values = dict.fromkeys(names, "1") | {names[1]: categories[0]}
    manifest = TABLE.model_copy(update={"target": "bought"})
    lines = [",".join(["extra", *values, "bought"]), ",".join(["9", *values.values(), "yes"])]
    (tmp_path / "rows.csv").write_text("\n".join(lines * 1 + [lines[1].replace("yes", "no")]))
    inputs, y = read_held_out(tmp_path / "rows.csv", manifest)
    assert inputs["x"].tolist() == [[1, 0, 1]] * 2
    assert y.tolist() == [1, 0]
    (tmp_path / "asked.csv").write_text("\n".join([",".join(values), ",".join(values.values())]))
    assert read_rows(tmp_path / "asked.csv", manifest)["x"].tolist() == [[1, 0, 1]]
    with pytest.raises(DataError, match="has no column bought, the truths"):
        read_held_out(tmp_path / "asked.csv", manifest)
    (tmp_path / "short.csv").write_text("age,bought\n1,yes\n")
    with pytest.raises(DataError, match="no column"):
        read_held_out(tmp_path / "short.csv", manifest)
    with pytest.raises(DataError, match=r"this model takes arrays; expected \.npz"):
        read_held_out(tmp_path / "rows.csv", ARRAYS)


def test_the_truths_of_several_targets_are_read(tmp_path: Path) -> None:
    manifest = linear_targets().manifest
    inputs, truth = drawn(manifest, 5, 0)
    np.savez(tmp_path / "rows.npz", x=inputs["x"], y=truth)
    np.testing.assert_array_equal(read_held_out(tmp_path / "rows.npz", manifest)[1], truth)
    np.savez(tmp_path / "one.npz", x=inputs["x"], y=truth[:, 0])
    with pytest.raises(DataError, match=r"shape \(5,\); expected one truth for each of 5 rows and 2 targets"):
        read_held_out(tmp_path / "one.npz", manifest)
    named = manifest.model_copy(update={"inputs": TABLE.inputs})
    lines = ["age,large,smoker,dose,small", "61,1000,yes,1,-2.5", "30,2000,no,2,3.5"]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    assert read_held_out(tmp_path / "rows.csv", named)[1].tolist() == [[-2.5, 1000], [3.5, 2000]]


def test_unknown_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_held_out(tmp_path / "none.npz", ARRAYS)
    (tmp_path / "rows.txt").write_text("x")
    with pytest.raises(DataError, match=r"unknown type '\.txt'; expected \.npz, \.csv or \.parquet"):
        read_held_out(tmp_path / "rows.txt", ARRAYS)
    (tmp_path / "broken.npz").write_bytes(b"PK no zip")
    with pytest.raises(DataError, match=r"expected \.npz with arrays"):
        read_held_out(tmp_path / "broken.npz", ARRAYS)
