from typing import Any

import pytest

from caveat.service.client.table import form_of, table

HEAD = {"model": "m", "version": 1}
PASSES = {"samples": 20, "seed": 3}
COLUMNS = ("mean", "variance", "epistemic_variance", "aleatoric_variance", "standard_error")
ENTROPIES = ("predictive_entropy", "expected_entropy", "mutual_information")
VALUES = {name: [1.5, 2.0] for name in COLUMNS}
CLASSES = {
    "label": ["b"],
    **{name: [[0.25, 0.75]] for name in ("mean", "variance", "standard_error")},
    **{name: [0.5] for name in ENTROPIES},
}


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"mean": [1.0]}, "Values"),
        ({"mean": [[1.0, 2.0]]}, "Targets"),
        ({"label": ["a"], "mean": [[1.0, 0.0]]}, "Classes"),
        (VALUES, "UncertainValues"),
        ({key: [value] for key, value in VALUES.items()}, "UncertainTargets"),
        (CLASSES, "UncertainClasses"),
        ({"label": ["a"]}, None),
        ({"something": [1]}, None),
    ],
)
def test_an_answer_shows_its_form(columns: dict[str, Any], name: str | None) -> None:
    form = form_of({**HEAD, **PASSES, **columns})
    assert (form.name if form else None) == name


def test_notes_stand_below_the_rows() -> None:
    lines = table({**HEAD, **PASSES, **VALUES, "notes": {"percentile": "it has other passes"}}).splitlines()
    assert lines[0] == "m version 1, 20 passes, seed 3"
    assert len(lines) == 5
    assert lines[-1] == "percentile: it has other passes"


def test_of_a_column_with_a_value_per_class_the_label_is_shown() -> None:
    *_, row = table({**HEAD, **PASSES, **CLASSES, "prediction_set": [["a", "b"]]}).splitlines()
    assert row.split() == ["0", "b", "0.75", "0.75", "0.75", "0.5", "0.5", "0.5", "a", "b"]
