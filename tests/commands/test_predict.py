import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from caveat import commands
from caveat.models.bundles.features import Feature
from caveat.models.bundles.records import encode_features
from caveat.service.client.rows_file import rows_of
from tests.service.serving import Service, serving

TABLE = """\
linear version 1, 10 passes, seed 4
row  mean  variance  epistemic_variance  aleatoric_variance  standard_error
  0   0.5      0.25                   0                0.25               0
  1   0.5      0.25                   0                0.25               0
"""


def predict(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = commands.main(["predict", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def zeros(tmp_path: Path) -> Path:
    path = tmp_path / "zeros.json"
    path.write_text("[[0, 0, 0], [0, 0, 0]]")
    return path


def test_rows_come_back_as_a_table(service: Service, zeros: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--url", service.url, "--model", "linear", "--samples", 10, "--seed", 4)
    assert predict(capsys, zeros, *flags) == (0, TABLE, "")


def test_a_complete_request_is_sent_unchanged(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "request.json"
    path.write_text('{"inputs": [[0, 0, 0], [0, 0, 0]], "samples": 10, "seed": 4}')
    assert predict(capsys, path, "--url", service.url, "--model", "linear") == (0, TABLE, "")


def test_an_array_and_standard_input_are_read(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--url", service.url, "--model", "linear", "--samples", 10, "--seed", 4)
    np.save(tmp_path / "zeros.npy", np.zeros((2, 3), np.float32))
    assert predict(capsys, tmp_path / "zeros.npy", *flags) == (0, TABLE, "")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"[[0, 0, 0], [0, 0, 0]]")))
    assert predict(capsys, "-", *flags) == (0, TABLE, "")


def test_a_csv_of_the_default_models_features_is_read(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "patients.csv"
    path.write_text("age,smoker,dose\n61,yes,2\n30,no,0.5\n")
    code, out, _ = predict(capsys, path, "--url", service.url, "--deterministic")
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "tabular version 2"
    assert [line.split()[:2] for line in lines[1:]] == [["row", "label"], ["0", "no"], ["1", "no"]]


def test_json_prints_the_answer_unchanged(
    service: Service, zeros: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--model", "linear", "--version", 1, "--seed", "random", "--json")
    code, out, _ = predict(capsys, zeros, "--url", service.url, *flags)
    seed = json.loads(out)["seed"]
    answer = service.ask("/models/linear/predict/uncertainty", inputs=[[0, 0, 0]] * 2, seed=seed)
    assert (code, out) == (0, answer.text + "\n")


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        (
            "[[1, 2]]",
            ["--model", "linear"],
            "422 Unprocessable Content: inputs[0]: expected a list of 3 numbers",
        ),
        ("[[1, 2, 3]]", ["--model", "other"], "404 Not Found: no model 'other'"),
        ("[[1, 2, 3]]", ["--model", "linear", "--version", "9"], "no version 9 of linear; there is 1"),
        ("[[1, 2, 3]]", ["--url", "http://127.0.0.1:1"], "no answer from http://127.0.0.1:1"),
        ("[[1, 2, 3]]", ["--url", "localhost:8000"], "is no URL; expected one such as http://localhost:8000"),
        ("[[1, 2, 3]]", ["--version", "1"], "--version is of a --model"),
        ("[[1, 2, 3]]", ["--deterministic", "--seed", "1"], "--deterministic makes no passes"),
        ("[[1, 2, 3]", ["--model", "linear"], "rows.json: unexpected end of data"),
    ],
)
def test_a_failure_is_a_one_line_error(
    service: Service,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    flags: list[str],
    message: str,
) -> None:
    path = tmp_path / "rows.json"
    path.write_text(content)
    code, out, errors = predict(capsys, path, "--url", service.url, *flags)
    assert code != 0
    assert out == ""
    assert message in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        ("age,smoker,dose\n61,yes\n", [], "line 2 has not as many values"),
        ("age,smoker,dose\n61,yes,2,3\n", [], "line 2 has not as many values"),
        ("age,smoker,dose\n61,yes,2\nold,no,1\n", [], "line 3: age is 'old'; expected a number"),
        ("age,smoker,dose\n61,yes,2\n\n61,yes,\n", [], "line 4: dose is empty"),
        ("age,smoker,dose,risk\n61,yes,2,1\n", [], "column 'risk' is no feature of the model; leave it out"),
        (
            "age,dose\n61,2\n",
            [],
            "422 Unprocessable Content: inputs[0].smoker: expected a value, got nothing",
        ),
        ("a,b,c\n1,2,3\n", ["--model", "linear"], "linear takes no named features"),
    ],
)
def test_a_csv_that_does_not_fit_is_refused_by_its_line(
    service: Service,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    flags: list[str],
    message: str,
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(content)
    code, _, errors = predict(capsys, path, "--url", service.url, *flags)
    assert code != 0
    assert message in errors
    assert errors.count("\n") == 1


def test_booleans_are_spelled_as_pandas_writes_them() -> None:
    lines = csv.DictReader(["age,member,plan", "1,True,True", "2,FALSE,false"])
    age, member = Feature(name="age"), Feature(name="member", categories=("false", "true"))
    plan = Feature(name="plan", categories=("True", "false"))
    rows = rows_of(lines, {"age": age, "member": member, "plan": plan})
    assert encode_features(rows, [age, member, plan], "float64", "inputs").tolist() == [[1, 1, 0], [2, 0, 1]]


@pytest.mark.parametrize("cell", ["", " ", "NA", "n/a", "NaN", "null", "None", "?", "#N/A"])
def test_a_cell_without_a_value_is_null_where_it_may_be_missing(cell: str) -> None:
    age, day = Feature(name="age", missing=True), Feature(name="day", dates="iso", missing=True)
    lines = csv.DictReader(["age,day", f"{cell},{cell}"])
    assert rows_of(lines, {"age": age, "day": day}) == [{"age": None, "day": None}]
    pet = Feature(name="pet", categories=("NA", "dog"), missing=True)
    (row,) = rows_of(csv.DictReader(["pet,x", f"{cell},1"]), {"pet": pet, "x": Feature(name="x")})
    found = encode_features([row], [pet, Feature(name="x")], "float64", "inputs")[0, 0]
    assert found == 0 if cell == "NA" else np.isnan(found)


@pytest.mark.parametrize(
    ("feature", "cell", "message"),
    [
        (Feature(name="age"), "NA", "line 2: age is 'NA'; expected a number"),
        (Feature(name="age", missing=True), "inf", "line 2: age is 'inf'; expected a number"),
        (Feature(name="day", dates="iso"), " ", "line 2: day is empty"),
        (Feature(name="pet", categories=("cat",), other=True), "", "line 2: pet is empty"),
    ],
)
def test_a_cell_without_a_value_is_refused_where_none_may_be_missing(
    feature: Feature, cell: str, message: str
) -> None:
    lines = csv.DictReader([f"{feature.name},x", f"{cell},1"])
    with pytest.raises(ValueError, match=re.escape(message)):
        rows_of(lines, {feature.name: feature, "x": Feature(name="x")})


def test_dates_and_unknown_categories_stay_text() -> None:
    pet, day = Feature(name="pet", categories=("cat",), other=True), Feature(name="day", dates="%d.%m.%Y")
    lines = csv.DictReader(["pet,day", "lion,1.3.2026"])
    assert rows_of(lines, {"pet": pet, "day": day}) == [{"pet": "lion", "day": "1.3.2026"}]


def test_a_csv_written_by_excel_is_read(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "PATIENTS.CSV"
    path.write_bytes(b"\xef\xbb\xbfage,smoker,dose\r\n61,yes,2\r\n")
    assert predict(capsys, path, "--url", service.url)[0] == 0


@pytest.mark.parametrize("name", ["rows.txt", "rows.parquet", "rows"])
def test_an_unknown_type_is_refused_by_name(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).write_bytes(b"[[1, 2, 3]]")
    code, _, errors = predict(capsys, tmp_path / name, "--url", service.url)
    assert code == 1
    assert f"{name}: unknown type '{Path(name).suffix}'; expected .json, .npy, .npz or .csv" in errors


def test_an_array_without_numbers_is_refused(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "rows.npy", np.ones((2, 3), complex))
    code, _, errors = predict(capsys, tmp_path / "rows.npy", "--url", service.url, "--model", "linear")
    assert (code, errors.count("\n")) == (1, 1)
    assert "rows.npy: holds complex128; expected numbers" in errors


def test_without_a_default_model_the_error_names_the_flag(
    bundles: Path, tmp_path: Path, zeros: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text("age\n1\n")
    with serving(bundles) as service:
        for path in (zeros, tmp_path / "rows.csv"):
            code, _, errors = predict(capsys, path, "--url", service.url)
            assert code == 1
            assert "--model" in errors


@pytest.mark.parametrize(
    ("status", "content"),
    [(200, b"<html>"), (200, b"[]"), (200, b"{}"),
     (404, b'{"detail": "Not Found"}'), (404, b"not found"), (301, b""), (500, b"oops")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["zeros.json", "rows.csv"])
def test_another_kind_of_service_is_a_one_line_error(
    status: int, content: bytes, name: str, zeros: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (zeros.parent / "rows.csv").write_text("age\n1\n")
    with stranger(status, content) as url:
        code, _, errors = predict(capsys, zeros.with_name(name), "--url", url)
    assert (code, errors.count("\n")) == (1, 1)
    assert "Caveat service" in errors


@contextmanager
def stranger(status: int, content: bytes) -> Iterator[str]:
    """Serve every request with the same answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_missing_file_is_a_one_line_error(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, errors = predict(capsys, "nowhere.json", "--url", service.url)
    assert code == 1
    assert "nowhere.json: [Errno 2] No such file" in errors


def test_an_invalid_request_is_a_one_line_error(
    service: Service, tmp_path: Path, zeros: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deep.json").write_text("[" * 600 + "]" * 600)
    for path, flags, message in (
        (tmp_path / "deep.json", (), "can't be written as JSON"),
        (zeros, ("--seed", "9" * 30), "--seed: Input should be less than or equal to"),
        (zeros, ("--samples", "1"), "--samples: Input should be greater than or equal to 2"),
        (zeros, ("--url", "http://[::1"), "is no URL"),
    ):
        code, _, errors = predict(capsys, path, "--url", service.url, *flags)
        assert (code, errors.count("\n")) in ((1, 1), (2, 1))
        assert message in errors


def test_a_file_of_several_arrays_is_sent_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], service: Service
) -> None:
    np.savez(tmp_path / "rows.npz", x=np.ones((2, 3)), y=np.zeros(2))
    _, _, errors = predict(capsys, tmp_path / "rows.npz", "--url", service.url, "--model", "linear")
    assert 'inputs: expected a list of at least one row, got an object with the fields "x", "y"' in errors
    np.savez(tmp_path / "rows.npz", any_name=np.ones((2, 3)))
    assert predict(capsys, tmp_path / "rows.npz", "--url", service.url, "--model", "linear")[0] == 0
