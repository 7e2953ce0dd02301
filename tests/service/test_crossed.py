"""Every route, content type, task and optional field, each with each, against the predictor.

Cases are made from two tables, so that a new task, form, column or field can't go without them.
"""

import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from http.client import HTTPConnection
from itertools import chain, product
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import jsonschema_rs
import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from caveat.models.answers.chance import CHANCE
from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles import aliases, store
from caveat.models.bundles.bundle import Bundle
from caveat.models.estimates.answer import estimate, notes, predicted
from caveat.models.estimates.cohort import Asked
from caveat.models.tasks import tasks
from caveat.models.tasks.column import Column, Form
from caveat.models.tasks.decisions import Decisions
from caveat.service.rest.content.request import UncertaintyRequest
from tests.models_table import MODELS, Model
from tests.service.fields_table import FIELDS, NOTHING, TOGETHER
from tests.service.serving import TIMEOUT, Service, operated

JSON, NPY, NPZ = "application/json", "application/x-npy", "application/x-npz"

PREDICT, UNCERTAINTY = "predict", "predict/uncertainty"

DEFAULT = "default"
"""Name of the default model, whose highest version is the model under test."""

BODY = "JSON"
NAMED = "JSON with the name of the only input"
QUERY = "JSON with the options in the query"
ARRAY = "an array with the options in the query"


@dataclass(frozen=True)
class Route:
    """A path before the verb, as the document has it and as a client asks it, and who answers there."""

    template: str
    path: str
    name: str
    version: int


class Answer(NamedTuple):
    """What a test looks at of a response."""

    status: int
    media_type: str
    content: bytes


@dataclass(frozen=True)
class Case:
    """A request, and the refusal that is due."""

    model: Model
    verb: str
    route: Route
    sent: str
    accept: str | None
    rows: int
    asked: dict[str, Any]
    refused: str | None = None

    def __str__(self) -> str:
        asked = orjson.dumps(self.asked).decode()
        return (
            f"{self.model}: POST {self.route.path}/{self.verb} {asked}, {self.rows} row(s) as {self.sent}, "
            f"Accept: {self.accept}"
        )

    @property
    def form(self) -> Form:
        task = self.model.predictor.task
        return task.prediction if self.verb == PREDICT else task.estimate

    @property
    def status(self) -> int:
        """The status that is due."""
        if self.sent == ARRAY and not self.model.takes_an_array:
            return 415
        return 200 if self.refused is None else 422

    def send(self, connection: HTTPConnection) -> Answer:
        headers = {"Content-Type": NPY if self.sent == ARRAY else JSON}
        if self.accept is not None:
            headers["Accept"] = self.accept
        query = "" if self.sent in (BODY, NAMED) else f"?{_query(self.asked)}"
        connection.request("POST", f"{self.route.path}/{self.verb}{query}", self.content, headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers["Content-Type"], response.read())

    @property
    def content(self) -> bytes:
        """The body that is sent."""
        if self.sent == ARRAY:
            stream = io.BytesIO()
            (array, *_) = self.model.predictor.encode(self.model.rows).values()
            np.save(stream, array[: self.rows], allow_pickle=False)
            return stream.getvalue()
        options = self.asked if self.sent in (BODY, NAMED) else {}
        rows = self.model.first(self.rows)
        if self.sent == NAMED:
            rows = {self.model.manifest.inputs[0].name: rows}
        return orjson.dumps({"inputs": rows, **options})


def _query(asked: dict[str, Any]) -> str:
    lists = {name: ",".join(map(str, value)) for name, value in asked.items() if isinstance(value, list)}
    return urlencode({**asked, **lists})


def _fits_a_query(asked: dict[str, Any]) -> bool:
    """Tell whether a query can hold the values: it has no null, and no empty list."""
    return all(value not in (None, []) for value in asked.values())


def cases(model: Model, verb: str, routes: list[Route]) -> Iterator[Case]:
    """List the requests of one model and verb: the product of all else."""
    blank = Case(model, verb, routes[0], BODY, None, 3, {})
    for asked, refused in asked_of(model, verb):
        one = len(model.manifest.inputs) == 1
        for route, sent in product(routes, (BODY, *([NAMED] if one else []), QUERY, ARRAY)):
            in_query = sent in (QUERY, ARRAY)
            if (in_query and not _fits_a_query(asked)) or (sent == QUERY and not asked):
                continue
            case = replace(blank, route=route, sent=sent, asked=asked, refused=refused)
            if case.status != 200:
                yield case
                continue
            accepted = (None,) if sent in (QUERY, NAMED) else (None, JSON, NPY, NPZ)
            for accept, rows in product(accepted, (1, 3)):
                yield replace(case, accept=accept, rows=rows)


def asked_of(model: Model, verb: str) -> Iterator[tuple[dict[str, Any], str | None]]:
    """List what is asked besides the rows, with the ``where`` of the refusal that is due."""
    if verb == PREDICT:
        yield {}, None
        for name, (*_, option) in FIELDS.items():
            yield {name: option.asked(model)[name]}, name
        return
    for option in (NOTHING, TOGETHER, *chain.from_iterable(FIELDS.values())):
        yield option.asked(model), option.refused(model)


class Document:
    """The service's OpenAPI document, which holds requests and answers to the schemas of their routes."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content
        self._validators: dict[tuple[str, ...], Any] = {}

    def hold_request(self, case: Case) -> None:
        """Hold a request that is answered to what the document says of its route."""
        operation = self._operation(case)
        kind = NPY if case.sent == ARRAY else JSON
        schema = operation["requestBody"]["content"][kind]["schema"]
        if kind == JSON:
            self._validator(case, "request", schema).validate(orjson.loads(case.content))
        if case.sent in (QUERY, ARRAY):
            documented = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
            assert case.asked.keys() <= documented, "the document lacks an option of the query"

    def hold_answer(self, case: Case, answer: Answer) -> None:
        """Hold an answer to the schema of its route and, if it is JSON, to that of its form."""
        status = str(answer.status)
        schema = self._operation(case)["responses"][status]["content"][answer.media_type]["schema"]
        if answer.media_type in (NPY, NPZ):
            return
        content = orjson.loads(answer.content)
        self._validator(case, status, schema).validate(content)
        if answer.status == 200:
            own = {"$ref": f"#/components/schemas/{case.form.name}"}
            assert own == schema if case.route.template == "" else own in schema["anyOf"]
            self._validator(case, "form", own).validate(content)

    def _operation(self, case: Case) -> Any:
        return self._content["paths"][f"{case.route.template}/{case.verb}"]["post"]

    def _validator(self, case: Case, what: str, schema: dict[str, Any]) -> Any:
        key = (case.route.template, case.verb, what)
        if key not in self._validators:
            whole = {**schema, "components": self._content["components"]}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole)
        return self._validators[key]


@dataclass(frozen=True)
class Served:
    """A running service, with the routes to one of its models."""

    connection: HTTPConnection
    model: Model
    routes: list[Route]
    document: Document


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store in which each model is a version beside its twin, and both have aliases."""
    folder = tmp_path_factory.mktemp("store")
    for model in MODELS:
        version = int(store.add(folder, model.bundle).name)
        aliases.point(folder / model.manifest.name, _alias(model), version)
    store.add(folder, _renamed(MODELS[0].bundle))
    return folder


def _alias(model: Model) -> str:
    return "calibrated" if model.calibrated else "bare"


def _renamed(bundle: Bundle) -> Bundle:
    return Bundle(bundle.manifest.model_copy(update={"name": DEFAULT}), bundle.files)


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    with operated(folder, "--default-model", DEFAULT, "--poll", "0") as running:
        yield running


@pytest.fixture(scope="module", params=MODELS, ids=str)
def served(service: Service, folder: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    """Make a model the highest version of the default model, so that every route leads to it."""
    model: Model = request.param
    latest = int(store.add(folder, _renamed(model.bundle)).name)
    assert service.client.post("/admin/reload").json()["failing"] == []
    document = Document(service.get("/openapi.json").json())
    name = model.manifest.name
    version = aliases.read(folder / name)[_alias(model)]
    one = "/models/{name}/versions/{version}"
    routes = [
        Route("", "", DEFAULT, latest),
        Route("/models/{name}", f"/models/{DEFAULT}", DEFAULT, latest),
        Route(one, f"/models/{name}/versions/{version}", name, version),
        Route(one, f"/models/{name}/versions/{_alias(model)}", name, version),
    ]
    # It takes half as long as httpx, and sends no Accept by itself.
    with closing(HTTPConnection(urlsplit(service.url).netloc, timeout=TIMEOUT)) as connection:
        yield Served(connection, model, routes, document)


@pytest.mark.parametrize("verb", [PREDICT, UNCERTAINTY])
def test_each_answer_is_the_predictors(served: Served, verb: str) -> None:
    found = [_fault(served, case) for case in cases(served.model, verb, served.routes)]
    faults = [fault for fault in found if fault]
    assert not faults, "\n".join([f"{len(faults)} of {len(found)} cases:", *faults[:20]])


def _fault(served: Served, case: Case) -> str:
    """Ask a case; tell what is wrong with the answer, if anything."""
    try:
        _hold(case, served)
    except (AssertionError, ValueError, LookupError) as fault:
        return f"{case}: {type(fault).__name__}: {str(fault).splitlines()[0]}"
    return ""


def _hold(case: Case, served: Served) -> None:
    answer = case.send(served.connection)
    assert answer.status == case.status, f"{answer.status} {answer.content[:160].decode()}"
    served.document.hold_answer(case, answer)
    if case.status != 200:
        assert answer.media_type == "application/problem+json"
        assert orjson.loads(answer.content).get("where") == (case.refused if case.status == 422 else None)
        return
    assert answer.media_type == (case.accept or JSON)
    served.document.hold_request(case)
    _HOLD[answer.media_type](case, answer.content)


def _hold_json(case: Case, content: bytes) -> None:
    answer = orjson.loads(content)
    told, columns = _due(case, answer.get("seed"))
    assert list(answer) == [*told, *(of.name for of in case.form.columns if of.name in columns)]
    for name, value in told.items():
        assert (type(answer[name]), answer[name]) == (type(value), value), name
    for name, column in columns.items():
        of = case.form.column(name)
        if of.kind in ("class", "classes"):
            assert answer[name] == _named(case.model, of, column), name
        else:
            found = np.array(answer[name])
            assert found.dtype.kind == column.dtype.kind, f"{name} is of {found.dtype}"
            _hold_bits(name, found.astype(column.dtype), column)


def _hold_npz(case: Case, content: bytes) -> None:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        answer = dict(archive)
    told, columns = _due(case, answer["seed"].item() if "seed" in answer else None)
    assert list(answer) == [*told, *(of.name for of in case.form.columns if of.name in columns)]
    for name, value in told.items():
        given = answer[name].item()
        assert answer[name].shape == (), name
        assert (orjson.loads(given) if name == "notes" else given) == value, name
    for name, column in columns.items():
        of = case.form.column(name)
        if of.kind == "class":
            assert answer[name].tolist() == _named(case.model, of, column), name
        else:
            _hold_bits(name, answer[name], column)


def _hold_npy(case: Case, content: bytes) -> None:
    main = np.load(io.BytesIO(content), allow_pickle=False)
    _, columns = _due(case, 0)
    due = columns[case.form.main]
    if case.asked.get("seed") == "random":  # an array alone does not say which seed was drawn
        _hold_kind(case.form.main, main, due)
    else:
        _hold_bits(case.form.main, main, due)


_HOLD = {JSON: _hold_json, NPY: _hold_npy, NPZ: _hold_npz}


def _hold_kind(name: str, found: NDArray[Any], due: NDArray[Any]) -> None:
    assert (found.dtype, found.shape) == (due.dtype, due.shape), f"{name} is {found.dtype} {found.shape}"


def _hold_bits(name: str, found: NDArray[Any], due: NDArray[Any]) -> None:
    _hold_kind(name, found, due)
    assert found.tobytes() == due.tobytes(), f"{name} is {found.tolist()}, not {due.tolist()}"


def _named(model: Model, column: Column, values: NDArray[Any]) -> list[Any]:
    """Write classes by their names."""
    classes = np.array(model.manifest.classes)
    return classes[values].tolist() if column.kind == "class" else [classes[row].tolist() for row in values]


def _due(case: Case, seed: int | None) -> tuple[dict[str, Any], Columns]:
    """Give what an answer says besides its columns, and its columns: those of a model's three rows, cut.

    A row is so held to the same answer alone as among three. ``seed`` is the one that a random seed came to.
    """
    told: dict[str, Any] = {"model": case.route.name, "version": case.route.version}
    if case.verb == UNCERTAINTY:
        if case.asked.get("seed") != "random":
            seed = case.asked.get("seed", 0)
        assert seed is not None
        told |= {"samples": case.asked.get("samples", 100), "seed": seed}
        columns = estimated(case.model, orjson.dumps(case.asked), seed)
        if said := said_of(case.model, case.asked):
            told["notes"] = said
    else:
        columns = predicted(case.model.predictor, case.model.predictor.encode(case.model.rows))
    return told, {name: column[: case.rows] for name, column in columns.items()}


def said_of(model: Model, asked: dict[str, Any]) -> dict[str, str]:
    """Give the notes that are due."""
    facts = model.manifest.calibration
    if facts is None:
        return {}
    like_those = (
        asked.get("samples", 100) == facts.samples
        and asked.get("sampler", "stratified") == "stratified"
        and not asked.get("tolerance")
    )
    decisions = Decisions(asked.get("coverage"), (), asked.get("max_error"))
    due = Asked(asked.get("samples", 100), 0, "independent", decisions=decisions)
    said = notes(model.predictor, due)
    return {name: text for name, text in said.items() if name != "percentile" or not like_those}


@lru_cache
def estimated(model: Model, options: bytes, seed: int) -> Columns:
    """Estimate the uncertainty of three rows in this process, and make the decisions."""
    predictor, asked = model.predictor, orjson.loads(options)
    columns = estimate(
        predictor,
        predictor.encode(model.rows),
        asked.get("samples", 100),
        seed,
        asked.get("sampler", "stratified"),
        asked.get("tolerance") or 0.0,
    )
    wrong = asked.get("error_tolerance")
    decisions = Decisions(
        asked.get("coverage"),
        tuple(asked.get("quantiles", ())),
        asked.get("max_error"),
        tuple(wrong) if isinstance(wrong, list) else wrong,
    )
    decided = predictor.task.decide(decisions, columns, predictor.calibration)
    kept = {name: column for name, column in columns.items() if name != "passes" or asked.get("tolerance")}
    assert ("percentile" in kept) == (model.calibrated and "percentile" not in said_of(model, asked))
    return {name: column for name, column in {**kept, **decided}.items() if name != CHANCE}


def test_the_table_has_every_field() -> None:
    assert {"inputs", *FIELDS} == set(UncertaintyRequest.model_fields)
    for name, options in FIELDS.items():
        for option, model in product(options, MODELS):
            assert name in option.asked(model)


def test_some_model_supports_each_field() -> None:
    for name, options in FIELDS.items():
        values = [
            value
            for option, model in product(options, MODELS)
            if option.refused(model) is None and (value := option.asked(model)[name]) not in (None, [])
        ]
        assert values, name
    assert set().union(*(TOGETHER.asked(model) for model in MODELS)) == set(FIELDS)


def test_the_table_has_every_task_in_every_form_without_and_with_calibration() -> None:
    due = {
        (task.name, outputs, forms[0].name, calibrated)
        for task in tasks.every()
        for outputs, forms, calibrated in product(task.kinds.values(), task.forms, (False, True))
    }
    found = {
        (of.task, of.outputs, model.predictor.task.prediction.name, model.calibrated)
        for model in MODELS
        for of in [model.manifest]
    }
    assert found == due


def test_every_column_of_every_form_is_in_some_answer() -> None:
    found: dict[str, set[str]] = {}
    for model in MODELS:
        task = model.predictor.task
        for option in (NOTHING, TOGETHER):
            columns = estimated(model, orjson.dumps(option.asked(model)), 0)
            found.setdefault(task.estimate.name, set()).update(columns)
        once = predicted(model.predictor, model.predictor.encode(model.rows))
        found.setdefault(task.prediction.name, set()).update(once)
    forms = [form for task in tasks.every() for pair in task.forms for form in pair]
    assert found == {form.name: {column.name for column in form.columns} for form in forms}


def test_rows_differ_in_their_passes_and_in_whether_they_are_withheld() -> None:
    for model in MODELS:
        columns = estimated(model, orjson.dumps(TOGETHER.asked(model)), 0)
        assert len(set(columns["passes"].tolist())) > 1
        if model.calibrated:
            assert {False, True} == set(columns["abstain"].ravel().tolist())
