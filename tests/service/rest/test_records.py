"""A served model whose features may lack values, be of unknown categories, or be dates."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from caveat import commands
from caveat.models.bundles import store
from caveat.service.rest.problems import InputProblem
from tests.models_table import MODELS, Model
from tests.service.serving import Service, serving

MODEL: Model = next(model for model in MODELS if str(model) == "classes-of-records, calibrated")
RECORD = {"age": 61, "smoker": "no", "since": "2026-03-01", "paid": "1/3/2026"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("store")
    store.add(folder, MODEL.bundle)
    with serving(folder) as running:
        yield running


def test_what_each_feature_may_hold_is_stated(service: Service) -> None:
    (spec,) = service.get("/models/classes-of-records").json()["inputs"]
    always = {"categories": None, "dates": None, "missing": False, "other": False, "unit": None}
    assert spec["features"] == [
        {**always, "name": "age", "missing": True},
        {**always, "name": "smoker", "categories": ["no", "yes"], "missing": True, "other": True},
        {**always, "name": "since", "dates": "iso", "missing": True},
        {**always, "name": "paid", "dates": "%d/%m/%Y"},
    ]


def test_values_are_read_however_they_are_spelled(service: Service) -> None:
    spelled = [
        {**RECORD, "smoker": " NO", "paid": "2026-03-01"},
        {**RECORD, "since": "2026-03-01T06:00:00+06:00", "paid": "01/03/2026"},
    ]
    answer = service.ask("/predict", inputs=[RECORD, *spelled]).json()
    assert answer["mean"][0] == answer["mean"][1] == answer["mean"][2]
    gaps = [{**RECORD, "smoker": gap, "since": gap} for gap in (None, "", "NA")]
    answer = service.ask("/predict", inputs=[*gaps, {**RECORD, "smoker": "at times"}]).json()
    assert answer["mean"][0] == answer["mean"][1] == answer["mean"][2] != answer["mean"][3]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("age", "NA", "a number, or null"),
        ("smoker", [], 'a category, such as "no", "yes", or null'),
        ("since", 20513, "a date or time as a text such as 2026-03-01 or 2026-03-01T12:30:00, or null"),
        ("paid", None, "a date or time as a text such as 2026-03-01 or 2026-03-01T12:30:00, or as %d/%m/%Y"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(
    service: Service, field: str, value: object, expected: str
) -> None:
    answer = service.ask("/predict", inputs=[RECORD, {**RECORD, field: value}])
    problem = InputProblem.model_validate(answer.json())
    assert (answer.status_code, problem.where, problem.expected) == (422, f"inputs[1].{field}", expected)
    assert problem.rows == ([1] if field == "smoker" else [])


def test_a_csv_with_gaps_and_dates_is_answered_as_its_json(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "records.csv"
    path.write_text(
        "age,smoker,since,paid\n61,no,2026-03-01,1/3/2026\nNA,,,1/3/2026\n1,at times,?,2026-03-01\n"
    )
    assert commands.main(["predict", str(path), "--url", service.url, "--deterministic", "--json"]) == 0
    gaps = {"age": None, "smoker": None, "since": None, "paid": "1/3/2026"}
    rows = [RECORD, gaps, {**gaps, "age": 1, "smoker": "at times"}]
    assert capsys.readouterr().out == service.ask("/predict", inputs=rows).text + "\n"


def test_missing_inputs_are_counted_and_recorded_like_others(service: Service) -> None:
    gaps = {"age": None, "smoker": None, "since": None, "paid": "1/3/2026"}
    answer = service.ask("/predict/uncertainty", inputs=[gaps] * 3).json()
    assert np.isfinite(answer["percentile"]).all()
    metrics = service.get("/metrics").text
    assert "nan" not in metrics.lower()
