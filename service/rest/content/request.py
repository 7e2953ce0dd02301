"""Parsing requests: validation against the limits and the model's signature."""

import re
import secrets
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import unquote_plus

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, create_model

from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Inputs, encode, unnamed
from caveat.models.bundles.words import describe, shortened
from caveat.models.draws.masks import MAX_SEED, Sampler
from caveat.models.errors import InputError
from caveat.models.estimates.cohort import Asked
from caveat.models.tasks.decisions import Decisions
from caveat.service.rest.content.arrays import read_npy
from caveat.service.rest.content.document import ROWS, cut_out, without_rows
from caveat.service.rest.content.keys import count as keys_of
from caveat.service.rest.content.keys import refuse_repeated
from caveat.service.rest.content.pieces import LARGE, Reading, too_many
from caveat.service.rest.content.volume import refuse_too_large_rows
from caveat.service.rest.problems import RequestError
from caveat.service.settings import Settings

_SHORT = 512
"""Bytes up to which a request's part besides its rows is parsed through a cache."""

_MOST_LISTED: Final = 10_000
"""Values in a list at most: of as many targets, a model may have errors of their own."""

_NUMBER: Final = re.compile(r"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+")
"""A number as JSON has it."""

_NUMBERS: Final = re.compile(f"{_NUMBER.pattern}(?:,{_NUMBER.pattern})*+")

Rows = Annotated[Any, WithJsonSchema({"type": ["array", "object"]})]
Error = Annotated[float, Field(ge=0)]
Errors = Annotated[list[Error], Field(max_length=_MOST_LISTED, fail_fast=True)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)] | Literal["random"]


class PredictRequest(BaseModel):
    """Rows to predict."""

    model_config = ConfigDict(extra="forbid", strict=True)

    inputs: Rows = Field(
        description="The rows: a list of nested lists in the shape of the model's signature, or of objects"
        " with one value per feature, null for a missing one. Or an object with the rows of each input by its"
        " name, which a model with several inputs needs."
    )


class UncertaintyRequest(PredictRequest):
    """Rows to predict, and how many stochastic passes to make."""

    samples: int = Field(description="Passes to make. Four times as many halve the standard error.")
    seed: Seed = Field(
        description="Decides which units every pass drops: equal seeds give equal answers. With `random`"
        " the service draws one, and the answer says which."
    )
    sampler: Sampler = Field(
        "stratified",
        description="How passes choose the units to drop: `stratified` passes balance the choices among them,"
        " so that the mean is more exact than that of as many `independent` passes.",
    )
    tolerance: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="Stop making passes over a row once the standard error of its mean, for its worst class"
        " or target, is this small. `passes` then says how many each row got, at most `samples`.",
    )
    coverage: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Rate at which `prediction_set` or `interval` holds the truth, such as 0.9. For models"
        " with a calibration.",
    )
    max_error: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Set `abstain` on answers to withhold, so that at most this fraction of the other answers"
        " is wrong, with a confidence of 95 %. For models with a calibration.",
    )
    error_tolerance: Error | Errors | None = Field(
        None,
        description="Goes with `max_error`: the error from which on a value counts as wrong, in the value's"
        " units; a list with one entry per target where a model has several.",
    )
    quantiles: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(max_length=100, fail_fast=True)] = (
        Field([], description="Probabilities, such as [0.05, 0.95], at which to give the value's quantiles.")
    )

    @property
    def asked(self) -> Asked:
        """The options of the request; a random seed is drawn now."""
        if self.seed == "random":
            return self._with_seed(secrets.randbelow(MAX_SEED + 1))
        return self._always

    @cached_property
    def _always(self) -> Asked:
        return self._with_seed(int(self.seed))

    def _with_seed(self, seed: int) -> Asked:
        wrong = self.error_tolerance
        wrong_from = tuple(wrong) if isinstance(wrong, list) else wrong
        decisions = Decisions(self.coverage, tuple(self.quantiles), self.max_error, wrong_from)
        return Asked(self.samples, seed, self.sampler, self.tolerance or 0.0, decisions)


Body = TypeVar("Body", bound=PredictRequest)


def uncertainty_request(settings: Settings) -> type[UncertaintyRequest]:
    """Make a request type with the limits and defaults of the settings for samples and seed."""
    samples, seed = (UncertaintyRequest.model_fields[name].description for name in ("samples", "seed"))
    return create_model(
        "UncertaintyRequest",
        __base__=UncertaintyRequest,
        __doc__=UncertaintyRequest.__doc__,
        samples=(
            int,
            Field(min(100, settings.max_samples), ge=2, le=settings.max_samples, description=samples),
        ),
        seed=(Seed, Field(settings.default_seed, description=seed)),
    )


def options_of(query: bytes, kind: type[PredictRequest]) -> dict[str, Any]:
    """Read the options in the query of a request's URL: any field but the rows.

    Raises
    ------
    InputError
        If the options do not fit ``kind``.
    """
    if not query:
        return {}
    names = [name for name in kind.model_fields if name != ROWS]
    asked: dict[str, Any] = {}
    for option in query.decode("latin-1").split("&", len(names)):  # as many as there are, and one too many
        name, _, value = option.partition("=")
        name = unquote_plus(name)
        if name not in names:
            expected = f"only the options {', '.join(names)}" if names else "no options"
            raise InputError(shortened(name) or "query", expected, _stranger(name, kind))
        if name in asked:
            raise InputError(name, "one value", "several; send each option once")
        asked[name] = _spelled(name, unquote_plus(value))
    read = _validated({ROWS: [], **asked}, kind)
    return read.model_dump(include=read.model_fields_set - {ROWS})


def _spelled(name: str, text: str) -> Any:
    """Read the value of an option as the same text in the body would be read: numbers as JSON has them."""
    a_list = name == "quantiles" or (name == "error_tolerance" and "," in text)
    try:
        if a_list:
            return orjson.loads(f"[{text}]") if _NUMBERS.fullmatch(text) else [text]
        return orjson.loads(text) if _NUMBER.fullmatch(text) else text
    except orjson.JSONDecodeError:  # too large
        return text


def parse(
    raw: bytes | bytearray,
    query: bytes,
    kind: type[Body],
    manifest: Manifest,
    max_rows: int,
    check: Callable[[], None],
) -> tuple[Body, Inputs]:
    """Parse the body of a request and turn its rows into the arrays that the model takes.

    Parameters
    ----------
    query
        Query of the URL; fields of the body take precedence.
    check
        Called between the pieces of a large body; what it raises ends the parsing.

    Raises
    ------
    RequestError
        400 if the body is not JSON; 413 if it holds more than ``max_rows`` rows, more values than so many
        rows have, or rows that are too large to compute.
    InputError
        If the request does not fit ``kind`` or the signature of the model, or an object has a key twice.
    """
    if len(raw) >= LARGE:
        body, arrays = _in_pieces(raw, query, kind, manifest, max_rows, check)
    elif apart := _apart(raw, query, kind, manifest):
        body, rows = apart
        _refuse_more_rows_than(max_rows, rows)
        arrays = encode(manifest.inputs, rows)
    else:
        body, arrays = _whole(raw, query, kind, manifest, max_rows)
    refuse_too_large_rows(manifest, arrays)
    return body, arrays


def _in_pieces(
    raw: bytes | bytearray,
    query: bytes,
    kind: type[Body],
    manifest: Manifest,
    max_rows: int,
    check: Callable[[], None],
) -> tuple[Body, Inputs]:
    rows, rest = Reading(raw, max_rows, check).read(manifest.inputs)
    body, count = _asked(rest, query, kind)
    refuse_repeated(rest, count)
    return body, encode(manifest.inputs, rows)


def _apart(
    raw: bytes | bytearray, query: bytes, kind: type[Body], manifest: Manifest
) -> tuple[Body, Any] | None:
    """Parse rows of plain numbers apart from the rest, if the bytes allow it."""
    cut = cut_out(raw, manifest.inputs)
    if cut is None:
        return None
    rows, rest = cut
    try:
        body, count = (_known if len(rest) + len(query) <= _SHORT else _asked)(rest, query, kind)
    except (RequestError, InputError):  # the whole document is parsed for the error message
        return None
    if body.inputs != without_rows(manifest.inputs) or rest.count(b":") != count:
        return None
    return body, rows


def _whole(
    raw: bytes | bytearray, query: bytes, kind: type[Body], manifest: Manifest, max_rows: int
) -> tuple[Body, Inputs]:
    body, count = _asked(raw, query, kind)
    _refuse_more_rows_than(max_rows, body.inputs)
    rows = unnamed(manifest.inputs, body.inputs)
    for spec in manifest.inputs:
        if len(manifest.inputs) == 1 and spec.features is None:
            spec.refuse_misfits(rows)
        elif isinstance(rows, dict) and spec.features is None and spec.name in rows:
            spec.refuse_misfits(rows[spec.name], f"{ROWS}.{spec.name}")
    arrays = encode(manifest.inputs, rows)
    refuse_repeated(bytes(raw), count)
    return body, arrays


def _asked(raw: bytes | bytearray, query: bytes, kind: type[Body]) -> tuple[Body, int]:
    """Parse a document; count its keys."""
    document = _loads(raw)
    count = len(document) + keys_of(document.get(ROWS)) if isinstance(document, dict) else 0
    if query and isinstance(document, dict):
        document = {**options_of(query, kind), **document}
    return _validated(document, kind), count


# A client mostly sends the same options with all of its requests.
_known = lru_cache(256)(_asked)


def _loads(raw: bytes | bytearray) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"not JSON: {error}") from None


def parse_array(
    raw: bytes | bytearray, query: bytes, kind: type[Body], manifest: Manifest, max_rows: int
) -> tuple[Body, Inputs]:
    """Take the rows of a request from one array; see `parse`."""
    spec, *others = manifest.inputs
    if others or spec.features is not None:
        raise RequestError(415, "this model takes several inputs or named features; send the rows as JSON")
    array = read_npy(raw)
    if array.ndim and len(array) > max_rows:
        raise too_many(f"{len(array)} rows", max_rows)
    arrays = {spec.name: spec.fit(array)}
    refuse_too_large_rows(manifest, arrays)
    return kind.model_validate({**options_of(query, kind), "inputs": []}), arrays


def _refuse_more_rows_than(limit: int, inputs: Any) -> None:
    for rows in inputs.values() if isinstance(inputs, dict) else [inputs]:
        if isinstance(rows, list | np.ndarray) and len(rows) > limit:
            raise too_many(f"{len(rows)} rows", limit)


def _validated(document: Any, kind: type[Body], strict: bool = True) -> Body:
    if isinstance(document, dict) and len(document) > len(kind.model_fields):
        # A megabyte holds 90,000 fields, and pydantic would write an error for each.
        raise _unknown(next(name for name in document if name not in kind.model_fields), kind)
    try:
        return kind.model_validate(document, strict=strict)
    except ValidationError as error:
        raise _misfit(error, kind) from None


def _unknown(name: str, kind: type[PredictRequest]) -> InputError:
    return InputError(
        shortened(name), f"only the fields {', '.join(kind.model_fields)}", _stranger(name, kind)
    )


def _stranger(name: str, kind: type[PredictRequest]) -> str:
    elsewhere = name in UncertaintyRequest.model_fields and name not in kind.model_fields
    return "a field of /predict/uncertainty" if elsewhere else "an unknown field"


def _misfit(error: ValidationError, kind: type[PredictRequest]) -> InputError:
    # An unknown field, such as a misspelt one, best explains why another is missing.
    faults = sorted(error.errors(include_url=False), key=lambda fault: fault["type"] != "extra_forbidden")
    place = faults[0]["loc"][:1]
    where = str(place[0]) if place else "body"
    if faults[0]["type"] == "missing":
        return InputError(where, "rows", "nothing")
    if faults[0]["type"] == "extra_forbidden":
        return _unknown(where, kind)
    if not place:
        return InputError(
            where, f"an object with the fields {', '.join(kind.model_fields)}", "something else"
        )
    messages = [fault["msg"] for fault in faults if fault["loc"][:1] == place]
    expected = " or ".join(message.removeprefix("Input should be ") for message in messages)
    return InputError(where, expected, describe(faults[0]["input"]))
