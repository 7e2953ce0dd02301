"""The columns that come out of the exported graphs, against values worked out with NumPy."""

from datetime import date
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caveat.models.bundles.features import OTHER, Feature
from caveat.models.bundles.signature import Input
from caveat.models.predictor import Predictor
from caveat.training.export.export import export
from caveat.training.preprocessing.dates import YEAR
from caveat.training.preprocessing.preprocess import preprocess
from caveat.training.preprocessing.standardise import standardise

nan = np.nan


class Shown(nn.Module):
    """Answers with the prepared columns, and with one that a dropout makes random."""

    def __init__(self, prepare: nn.Module) -> None:
        super().__init__()
        self.prepare = prepare
        self.dropout = nn.Dropout(0.5)

    def forward(self, rows: Tensor) -> Tensor:
        columns: Tensor = self.prepare(rows)
        return torch.cat([columns, self.dropout(torch.ones_like(columns[:, :1]))], dim=1)


def predictor(features: list[Feature], train: NDArray[Any], example: NDArray[Any] | None = None) -> Predictor:
    spec = Input(name="x", dtype="float64", shape=("rows", len(features)), features=tuple(features))
    prepare = preprocess(spec, train)
    width = prepare(torch.from_numpy(train)).shape[1] + 1
    rows = train[:5] if example is None else example
    bundle = export(
        Shown(prepare),
        rows,
        task="regression",
        outputs="mean",
        name="shown",
        inputs=[spec],
        targets=[f"column {number}" for number in range(width)],
    )
    assert bundle.manifest.least_rows == 1
    return Predictor(bundle, threads=1)


def columns(graphs: Predictor, rows: NDArray[Any]) -> NDArray[np.float32]:
    """Give the prepared columns, the same to the bit alone and in any batch, and with dropout on."""
    together = graphs.predict({"x": rows})
    passes = np.concatenate(list(graphs.passes({"x": rows}, 3, 0, "independent")))
    for each in (*together[None], *passes):
        assert each[:, :-1].tobytes() == np.ascontiguousarray(together[:, :-1]).tobytes()
    for row in range(len(rows)):
        alone = graphs.predict({"x": rows[row : row + 1]})
        assert alone.tobytes() == together[row : row + 1].tobytes()
        later = graphs.predict({"x": np.concatenate([rows[::-1]] * 5 + [rows[row : row + 1]])})
        assert later[-1:].tobytes() == alone.tobytes()
    found: NDArray[np.float32] = together[:, :-1]
    return found


def test_a_missing_number_is_the_mean_of_the_known_and_marked() -> None:
    features = [Feature(name="a", missing=True), Feature(name="b"), Feature(name="c", missing=True)]
    train = np.array([[1.0, 5, nan], [nan, 7, nan], [4, 9, nan], [4, 11, nan]])
    rows = np.array([[nan, 5, 2], [7, 11, nan], [3, 8, 0]])
    known = np.array([1.0, 4, 4])
    b = train[:, 1]
    expected = [
        [0, (5 - b.mean()) / b.std(), 2, 1, 0],
        [(7 - 3) / known.std(), (11 - b.mean()) / b.std(), 0, 0, 1],
        [0, 0, 0, 0, 0],
    ]
    np.testing.assert_allclose(columns(predictor(features, train), rows), expected, rtol=1e-6)


def test_missing_and_unknown_categories_have_columns_of_their_own() -> None:
    features = [
        Feature(name="pet", categories=("cat", "dog"), missing=True, other=True),
        Feature(name="age"),
        Feature(name="ill", categories=("false", "true"), other=True),
        Feature(name="plan", categories=("a", "b"), missing=True),
    ]
    train = np.array([[0.0, 1, 0, 1], [1, 3, 1, 0], [nan, 1, 0, nan], [0, 3, 1, 1]])
    rows = np.array([[nan, 1, OTHER, nan], [OTHER, 3, 1, 1], [1, 2, 0, 0]])
    expected = [
        # age, cat, dog, missing, other, false, true, other, a, b, missing
        [-1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1],
        [1, 0, 0, 0, 1, 0, 1, 0, 0, 1, 0],
        [0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0],
    ]
    np.testing.assert_array_equal(columns(predictor(features, train), rows), expected)


def days(*texts: str) -> NDArray[np.float64]:
    return np.array([np.datetime64(text, "s").astype(np.float64) / 86_400 for text in texts])


def calendar(at: NDArray[np.float64], weekdays: list[int]) -> list[NDArray[np.float64]]:
    """Work out the columns of dates without a time of day, but for the time itself."""
    turns = 2 * np.pi * (at / YEAR)
    return [np.cos(turns), np.sin(turns), *np.eye(7)[weekdays].T]


OLD = ["1970-01-01", "2026-03-01", "1969-12-31", "0001-01-01", "9999-12-31", "1600-02-29", "2024-02-29"]


def test_dates_become_features_of_the_calendar_before_1970_and_far_away_too() -> None:
    train = days("2020-01-01", "2021-06-01", "2019-01-07")
    at = days(*OLD)
    weekdays = [date.fromisoformat(text).weekday() for text in OLD]
    expected = [(at - train.mean()) / train.std(), *calendar(at, weekdays)]
    found = columns(predictor([Feature(name="day", dates="iso")], train[:, None]), at[:, None])
    np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=2e-7, atol=1e-7)


def test_times_of_day_have_a_phase_where_training_has_them() -> None:
    features = [Feature(name="paid", dates="iso", missing=True), Feature(name="born", dates="iso")]
    train = np.stack(
        [
            [*days("2020-01-01T06:30", "2020-05-01T23:00", "2021-01-01"), nan],
            days("2020-01-01", "2020-05-02", "2021-01-01", "2021-01-02"),
        ],
        axis=1,
    )
    at, born = days("2026-03-01T12:30:15", "1969-12-31T23:59:59"), days("1955-03-14T10:00", "2026-03-01")
    rows = np.stack([[*at, nan], [*born, born[0]]], axis=1)
    known = train[:3, 0]
    paid, birth = calendar(at, [6, 2]), calendar(np.array([*born, born[0]]), [0, 6, 0])
    turns = 2 * np.pi * (at - np.floor(at))
    by_birth = (np.array([*born, born[0]]) - train[:, 1].mean()) / train[:, 1].std()
    expected = [
        [*((at - known.mean()) / known.std()), 0],
        by_birth,
        *([*wave, 0] for wave in paid[:2]),
        *birth[:2],
        *([*wave, 0] for wave in (np.cos(turns), np.sin(turns))),
        *([*weekday, 0] for weekday in paid[2:]),
        *birth[2:],
        [0, 0, 1],
    ]
    found = columns(predictor(features, train), rows)
    np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=2e-7, atol=2e-7)


def test_times_alone_are_of_one_day() -> None:
    train = np.array([[0.25], [0.5], [0.75]])
    found = columns(predictor([Feature(name="at", dates="%H:%M")], train), np.array([[0.25], [0.0]]))
    cosine, sine = found[:, 3], found[:, 4]
    np.testing.assert_allclose(cosine, [0, 1], atol=1e-7)
    np.testing.assert_allclose(sine, [1, 0], atol=1e-7)


def test_features_without_any_known_value_are_finite() -> None:
    features = [
        Feature(name="a", missing=True),
        Feature(name="day", dates="iso", missing=True),
        Feature(name="pet", categories=("cat",), missing=True),
        Feature(name="b"),
    ]
    train = np.array([[nan, nan, nan, 1], [nan, nan, nan, 2], [nan, nan, nan, 4]])
    found = columns(predictor(features, train), np.array([[5, 366, 0, 1], [nan, nan, nan, 2.0]]))
    assert np.isfinite(found).all()
    # a, b, a is missing, the day and two waves, seven days of the week, its mark, cat, no pet
    assert (found[0, 0], found[0, 2], found[0, 3], found[0, 13]) == (5, 0, 366, 0)
    np.testing.assert_array_equal(found[1, 2:], [1, *[0] * 10, 1, 0, 1])


class Former(nn.Module):
    """Numbers and categories that are always known, written out."""

    def __init__(self, train: NDArray[Any]) -> None:
        super().__init__()
        self.standardise = standardise(train[:, [0, 2]])
        self.numeric = nn.Buffer(torch.tensor([0, 2]))
        self.column = nn.Buffer(torch.tensor([1, 1, 1]))
        self.code = nn.Buffer(torch.arange(3, dtype=torch.float64))

    def forward(self, rows: Tensor) -> Tensor:
        numbers = self.standardise(rows.index_select(1, self.numeric))
        categories = rows.index_select(1, self.column) == self.code
        return torch.cat([numbers, categories.float()], dim=1)


def nodes(prepare: nn.Module, spec: Input, train: NDArray[Any]) -> list[Any]:
    torch.manual_seed(0)
    network = nn.Sequential(prepare, nn.Linear(5, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    options: Any = {"task": "regression", "outputs": "mean", "name": "plain"}
    content = export(network, train, inputs=[spec], **options).files["predict.onnx"]
    assert isinstance(content, bytes)
    graph = onnx.load_from_string(content).graph
    weights = [np.array(onnx.numpy_helper.to_array(each)).tolist() for each in graph.initializer]
    return [*((node.op_type, list(node.output)) for node in graph.node), sorted(map(str, weights))]


def test_the_graph_of_features_that_are_always_known_has_nothing_for_others() -> None:
    pet = Feature(name="pet", categories=("cat", "cow", "dog"))
    features = (Feature(name="a"), pet, Feature(name="b"))
    spec = Input(name="x", dtype="float64", shape=("rows", 3), features=features)
    train = np.array([[0.0, 2, 3], [1, 1, 5], [4, 0, 8]])
    assert nodes(preprocess(spec, train), spec, train) == nodes(Former(train), spec, train)


@pytest.mark.parametrize("value", [nan, np.inf, -np.inf])
def test_an_example_lacks_values_only_where_they_may_be_missing(value: float) -> None:
    train = np.array([[0.0, 2], [1, 1], [4, 0]])
    example = np.array([[0.0, value], [1, 1]])
    features = [Feature(name="a", missing=True), Feature(name="b")]
    with pytest.raises(ValueError, match="values that are not finite"):
        predictor(features, train, example)
    if not np.isnan(value):
        with pytest.raises(ValueError, match="values that are not finite"):
            predictor(features[::-1], train, example)


class Careless(nn.Module):
    """Passes a missing value on."""

    def forward(self, rows: Tensor) -> Tensor:
        return torch.where(rows.isnan(), rows, rows)


def test_an_export_is_tried_with_missing_values_though_the_example_has_none() -> None:
    spec = Input(
        name="x",
        dtype="float32",
        shape=("rows", 2),
        features=(Feature(name="a", missing=True), Feature(name="b")),
    )
    network = nn.Sequential(Careless(), nn.Linear(2, 2), nn.Dropout(0.5), nn.Linear(2, 1))
    options: Any = {"task": "regression", "outputs": "mean", "name": "careless"}
    with pytest.raises(ValueError, match="answers row 2 of the example with nan"):
        export(network, np.ones((3, 2), np.float32), inputs=[spec], **options)


class Pair(nn.Module):
    """Takes a record and numbers."""

    def __init__(self, prepare: nn.Module) -> None:
        super().__init__()
        self.prepare = prepare
        self.layers = nn.Sequential(nn.Linear(7, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 1))

    def forward(self, x: Tensor, record: Tensor) -> Tensor:
        return self.layers(torch.cat([x, self.prepare(record)], dim=1))  # type: ignore[no-any-return]


def test_one_of_several_inputs_may_lack_values_and_the_example_kept_says_so() -> None:
    pet = Feature(name="pet", categories=("cat", "dog"), missing=True, other=True)
    features = (Feature(name="age", missing=True), pet)
    x = Input(name="x", dtype="float32", shape=("rows", 1))
    record = Input(name="record", dtype="float64", shape=("rows", 2), features=features)
    rows = np.array([[nan, 1], [3, nan], [4, 0], [7, 1]])
    bundle = export(
        Pair(preprocess(record, rows)),
        {"x": np.array([[1.0], [2], [3], [4]], np.float32), "record": rows},
        task="regression",
        outputs="mean",
        name="pair",
        inputs=[x, record],
        example_rows="keep",
    )
    told = [{"age": None, "pet": "dog"}, {"age": 3, "pet": None}]
    assert bundle.manifest.example == {"x": [[1], [2]], "record": told}
    predictor = Predictor(bundle, threads=1)
    asked = {"x": [[1], [1]], "record": [{"age": 3, "pet": "cow"}, {"age": None, "pet": None}]}
    found = predictor.predict(predictor.encode(asked))
    assert np.isfinite(found).all()
    assert found[0] != found[1]
