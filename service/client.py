"""The ``caveat predict`` command: asks a running service about the rows of a file."""

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic_settings import CliPositionalArg

from caveat.models.command import Command
from caveat.models.draws.masks import MAX_SEED
from caveat.models.errors import CaveatError
from caveat.service import credentials

Features = Mapping[str, list[str] | None]
"""The features of a model by name, and the categories of those that have some."""


class Predict(Command):
    """Ask a running service about the rows of a file, and print a line for each."""

    file: CliPositionalArg[Path] = Field(
        description="JSON (a list of rows, or a whole request), .npy, .npz (an array for each of several"
        " inputs), or .csv with the names of the features in its first line; - reads JSON from standard input"
    )
    url: str = Field("http://127.0.0.1:8000", description="where the service is")
    model: str | None = Field(None, description="name of a model; by default the service's default one")
    version: str | None = Field(
        None, description="version of the named model, or an alias; by default the highest"
    )
    samples: Annotated[int, Field(ge=2, le=MAX_SEED)] | None = Field(
        None, description="stochastic passes to make; by default as many as the service does"
    )
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | Literal["random"] | None = Field(
        None, description="seed of the passes; by default the service's own"
    )
    api_key_file: Path | None = Field(
        None, description="file with the key to show; by default the one in CAVEAT_API_KEY, if any"
    )
    deterministic: bool = Field(False, description="ask for a prediction without its uncertainty")
    json_: bool = Field(False, validation_alias="json", description="print the answer as it came")

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"--url {self.url} is no URL; expected one such as http://{self.url}")
        if self.version is not None and self.model is None:
            raise ValueError("--version is of a --model: name it too")
        if self.deterministic and not (self.samples is None and self.seed is None):
            raise ValueError("--deterministic makes no passes: leave --samples and --seed out")
        return self

    def cli_cmd(self) -> None:
        """Ask, and print what comes back."""
        limits = httpx.Timeout(5, read=None)  # how long an answer takes is up to samples and rows
        shown = credentials.headers(self.api_key_file)
        try:
            client = httpx.Client(base_url=self.url, timeout=limits, headers=shown)
        except httpx.InvalidURL as error:
            raise CaveatError(f"--url {self.url} is no URL: {error}") from None
        with client:
            content = self._request(client)
            try:
                response = _call(client, "POST", self._route(), content)
            except UnknownError as error:
                hint = "" if self.model else " (name a model with --model)"
                raise CaveatError(f"{error}{hint}") from None
            answer = _document(response)
            if not {"model", "version"} <= answer.keys():
                raise _stranger(client)
            text = response.text if self.json_ else table(answer, self._targets(client, answer))
        print(text)

    def _route(self) -> str:
        verb = "predict" if self.deterministic else "predict/uncertainty"
        return f"{self._path(self.model)}/{verb}"

    def _path(self, name: str | None) -> str:
        if name is None:
            return ""
        version = "" if self.version is None else f"/versions/{quote(self.version, safe='')}"
        return f"/models/{quote(name, safe='')}{version}"

    def _request(self, client: httpx.Client) -> dict[str, Any]:
        try:
            content = self._read(client)
        except CaveatError:
            raise
        except (OSError, ValueError) as error:
            raise CaveatError(f"{self.file}: {error}") from None
        request = content if isinstance(content, dict) and "inputs" in content else {"inputs": content}
        asked = {"samples": self.samples, "seed": self.seed}
        return request | {name: value for name, value in asked.items() if value is not None}

    def _read(self, client: httpx.Client) -> Any:
        if str(self.file) == "-":
            return orjson.loads(sys.stdin.buffer.read())
        match self.file.suffix.lower():
            case ".json":
                return orjson.loads(self.file.read_bytes())
            case ".npy":
                return _numbers(_load(self.file)).tolist()
            case ".npz":
                rows = {name: _numbers(array).tolist() for name, array in _load(self.file).items()}
                return rows if len(rows) > 1 else next(iter(rows.values()), None)
            case ".csv":
                features = self._features(client)
                with self.file.open(newline="", encoding="utf-8-sig") as lines:
                    return rows_of(csv.DictReader(lines), features)
            case suffix:
                raise CaveatError(f"{self.file}: unknown type {suffix!r}; expected .json, .npy, .npz or .csv")

    def _targets(self, client: httpx.Client, answer: Mapping[str, Any]) -> list[str] | None:
        """Ask what the targets are called, if a row has several."""
        values = answer.get("prediction", answer.get("mean"))
        if "label" in answer or not values or not isinstance(values[0], list):
            return None
        path = f"/models/{quote(answer['model'], safe='')}/versions/{answer['version']}"
        targets: list[str] = _document(_call(client, "GET", path))["targets"]
        return targets

    def _features(self, client: httpx.Client) -> Features:
        """Ask which features the model has, and of which categories."""
        try:
            name = self.model or _document(_call(client, "GET", "/models"))["default"]
            if name is None:
                raise CaveatError("the service has no default model; name one with --model")
            model = _document(_call(client, "GET", self._path(name)))
            features = [feature for spec in model["inputs"] for feature in spec["features"] or ()]
            if not features:
                raise CaveatError(f"{model['name']} takes no named features; send its rows as JSON or .npy")
            return {feature["name"]: feature["categories"] for feature in features}
        except (KeyError, TypeError):
            raise _stranger(client) from None


def _load(path: Path) -> Any:
    return np.load(path, allow_pickle=False)


def _numbers(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind not in "biuf":
        raise ValueError(f"holds {array.dtype}; expected numbers")
    return array


def rows_of(lines: "csv.DictReader[str]", features: Features) -> list[dict[str, str | float]]:
    """Turn the lines of a CSV file into rows of a model's features, those without categories into numbers.

    Examples
    --------
    >>> lines = csv.DictReader(["age,smoker", "61,True"])
    >>> rows_of(lines, {"age": None, "smoker": ["false", "true"]})
    [{'age': 61.0, 'smoker': 'true'}]
    """
    surplus = [name for name in lines.fieldnames or () if name not in features]
    if surplus:
        raise ValueError(
            f"column {surplus[0]!r} is no feature of the model; leave it out; its features are "
            f"{', '.join(features)}"
        )
    rows = []
    for line in lines:
        if None in line or None in line.values():
            raise ValueError(f"line {lines.line_num} has not as many values as the first line has names")
        try:
            rows.append({name: _value(text, name, features[name]) for name, text in line.items()})
        except ValueError as error:
            raise ValueError(f"line {lines.line_num}: {error}") from None
    return rows


def _value(text: str, name: str, categories: list[str] | None) -> str | float:
    if not text.strip() and (categories is None or text not in categories):
        raise ValueError(f"{name} is empty")
    if categories is None:
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{name} is {text!r}; expected a number") from None
    # Booleans are learned as false and true, and pandas writes them False and True.
    return text.lower() if text in ("True", "False", "TRUE", "FALSE") and text not in categories else text


def table(answer: Mapping[str, Any], targets: Sequence[str] | None = None) -> str:
    """Lay an answer out, one line per row; of a column with a value per class, the label's is shown.

    Where there are several targets, each has a line of its own.

    Examples
    --------
    >>> columns = {"label": ["a", "b"], "probabilities": [[0.9, 0.1], [0.25, 0.75]]}
    >>> print(table({"model": "m", "version": 1, **columns}))
    m version 1
    row  label  probabilities
      0  a                0.9
      1  b               0.75
    >>> print(table({"model": "m", "version": 1, "prediction": [[3, 0.5]]}, ["price", "rent"]))
    m version 1
    row  target  prediction
      0  price            3
      0  rent           0.5
    """
    head = f"{answer['model']} version {answer['version']}"
    if "samples" in answer:
        head += f", {answer['samples']} passes, seed {answer['seed']}"
    columns = {name: values for name, values in answer.items() if isinstance(values, list)}
    classes = columns.get("probabilities", columns.get("mean", []))
    for name, values in columns.items():
        if "label" in columns and name != "prediction_set" and isinstance(values[0], list):
            columns[name] = [value[row.index(max(row))] for value, row in zip(values, classes, strict=True)]
    rows = len(next(iter(columns.values())))
    columns = {"row": list(range(rows)), **columns}
    if targets:
        columns = {"row": columns.pop("row"), "target": [list(targets)] * rows, **columns}
        columns = {name: _by_target(values, len(targets)) for name, values in columns.items()}
    return "\n".join([head, *_align(columns)])


def _by_target(values: Sequence[Any], targets: int) -> list[Any]:
    """Give each target of each row a cell of its own; what is of the whole row stands in all of them."""
    rows = (value if isinstance(value, list) else [value] * targets for value in values)
    return [cell for row in rows for cell in row]


def _text(cell: Any) -> str:
    if isinstance(cell, list):  # an interval, quantiles, a set
        return " ".join(map(_text, cell))
    return cell if isinstance(cell, str) else f"{cell:.4g}"


def _align(columns: Mapping[str, Sequence[Any]]) -> list[str]:
    laid = []
    for name, values in columns.items():
        texts = list(map(_text, values))
        width = max(map(len, [name, *texts]))
        left = isinstance(values[0], str)
        laid.append([text.ljust(width) if left else text.rjust(width) for text in [name, *texts]])
    return ["  ".join(line).rstrip() for line in zip(*laid, strict=True)]


class UnknownError(CaveatError):
    """What was asked for is not there."""


def _call(client: httpx.Client, method: str, path: str, request: object = None) -> httpx.Response:
    try:
        content = None if request is None else orjson.dumps(request)
    except orjson.JSONEncodeError as error:
        raise CaveatError(f"the rows can't be written as JSON: {error}") from None
    try:
        response = client.request(method, path, content=content, headers={"Content-Type": "application/json"})
    except httpx.HTTPError as error:
        raise CaveatError(f"no answer from {client.base_url}: {error}") from None
    if response.is_success:
        return response
    problem = _document(response)
    if not {"status", "title", "detail"} <= problem.keys():
        raise _stranger(client)
    kind = UnknownError if problem["status"] == 404 else CaveatError
    hint = " (give one with --api-key-file, or in CAVEAT_API_KEY)" if problem["status"] == 401 else ""
    raise kind(f"{problem['status']} {problem['title']}: {problem['detail']}{hint}")


def _document(response: httpx.Response) -> dict[str, Any]:
    """Read an answer as the JSON object that every answer of the service is."""
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise CaveatError(
            f"{response.url} answered {response.status_code} without a JSON object; is it a Caveat service?"
        )
    return content


def _stranger(client: httpx.Client) -> CaveatError:
    return CaveatError(f"{client.base_url} does not answer as a Caveat service does; is --url right?")
