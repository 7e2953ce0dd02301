import gzip
import json
from pathlib import Path

import pytest

from caveat.training.data.files.read import read_table
from caveat.training.data.options import FileOptions
from caveat.training.errors import DataError

ROWS = [{"a": 1, "b": "x", "c": True}, {"a": 2.5, "b": None, "d": 2**60}, {"a": float("nan"), "b": ""}]
CELLS = {
    "a": ["1", "2.5", None],
    "b": ["x", None, ""],
    "c": ["true", None, None],
    "d": [None, str(2**60), None],
}


@pytest.mark.parametrize("name", ["t.jsonl", "t.ndjson", "t.JSONL.gz", "t.json"])
def test_objects_are_rows_and_absent_fields_are_missing(name: str, tmp_path: Path) -> None:
    text = json.dumps(ROWS) if name == "t.json" else "\n".join(map(json.dumps, ROWS)) + "\n\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    table = read_table(path, FileOptions())
    assert {name: values.to_list() for name, values in table.columns.items()} == CELLS
    assert (table.numbers.tolist(), table.unit) == ([1, 2, 3], "row" if name == "t.json" else "line")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", '{"a": 1}\n{"a": \n', "line 2 is no JSON: Expecting value"),
        ("t.jsonl", '{"a": 1}\n[1]\n', "line 2 is a list; expected an object with a value for each column"),
        ("t.jsonl", '{"a": 1}\n{"a": "\\ud800"}', r"line 2: 'a' has half of a character: '\\ud800'"),
        ("t.json", '{"a": 1}\n{"a": 2}', "Extra data.*; a file with an object in each line is called .jsonl"),
        ("t.jsonl", "", "no rows"),
        ("t.jsonl", "{}\n{}\n", "the rows have no fields"),
        ("t.json", "[" * 100_000, "is no JSON"),
        ("t.json", '{"a": {"0": 1}}', 'holds an object; expected a list of objects, .*orient="records"'),
        ("t.json", '[{"a": 1}, 3]', "row 2 is a number; expected an object"),
        ("t.jsonl", '{"a": 1, "a ": 2}', "columns 1 and 2 are both called 'a'"),
    ],
)
def test_what_is_no_row_is_refused_with_its_number(
    name: str, content: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=message) as raised:
        read_table(path, FileOptions())
    assert str(raised.value).startswith(f"{path}: ")


def test_a_separator_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps(ROWS))
    with pytest.raises(DataError, match="--separator goes with text whose values are separated"):
        read_table(path, FileOptions(separator=";"))


def test_lists_and_objects_are_columns_that_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1.0, "tags": ["x"]}\n{"a": 2, "tags": {"x": 1}}\n')
    table = read_table(path, FileOptions())
    assert (table.columns["a"].to_list(), table.unreadable) == (["1", "2"], {"tags": "lists"})
