"""Reading requests and writing answers: bytes to rows and options, columns to bytes."""

from collections.abc import Callable
from itertools import compress
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Inputs
from caveat.models.errors import InputError
from caveat.models.estimates.answer import notes
from caveat.models.estimates.cohort import Asked
from caveat.models.predictor import Predictor
from caveat.models.tasks.column import Column, Form
from caveat.service.rest.content import body
from caveat.service.rest.content.arrays import NPY, write_npy, write_npz
from caveat.service.rest.content.request import PredictRequest, UncertaintyRequest, parse, parse_array


def read(
    raw: bytes | bytearray,
    media_type: str,
    query: bytes,
    kind: type[PredictRequest],
    predictor: Predictor,
    max_rows: int,
    check: Callable[[], None],
) -> tuple[Inputs, Asked | None]:
    """Read the rows of a request and its options; the options are None for an answer without dropout.

    ``check`` is called now and then, and ends the reading by what it raises.
    """
    if media_type == NPY:
        request, inputs = parse_array(raw, query, kind, predictor.manifest, max_rows)
    else:
        request, inputs = parse(raw, query, kind, predictor.manifest, max_rows, check)
    if not isinstance(request, UncertaintyRequest):
        return inputs, None
    asked = request.asked
    predictor.task.check_decisions(asked.decisions, predictor.calibration)
    return inputs, asked


def write(predictor: Predictor, asked: Asked | None, columns: Columns, media_type: str) -> bytes:
    """Write an answer as JSON, as its main array (.npy), or as all of its arrays (.npz).

    Raises
    ------
    InputError
        If the network overflows on a row, which JSON has no number for.
    """
    manifest, task = predictor.manifest, predictor.task
    told: dict[str, Any] = {"model": manifest.name, "version": manifest.version}
    if predictor.precision != "float32":
        told["precision"] = predictor.precision
    form = task.prediction
    if asked is not None:
        form = task.estimate
        told |= {"samples": asked.samples, "seed": asked.seed}
        if said := notes(predictor, asked):
            told["notes"] = said
    as_text = media_type == body.JSON
    for column in form.columns:  # an answer may be partial
        if column.name in columns:
            told[column.name] = _told(columns[column.name], column, manifest, as_text)
    if asked is not None and not asked.tolerance:  # every row got all passes
        told.pop("passes", None)
    if as_text:
        content = orjson.dumps(told, _contiguous, orjson.OPT_SERIALIZE_NUMPY)
        if b"null" in content:  # orjson writes null for NaN and infinity; a class name may hold it, too
            _check_finite(form, columns)
        return content
    _check_finite(form, columns)
    if media_type == NPY:
        return write_npy(columns[form.main])
    if "notes" in told:
        told["notes"] = orjson.dumps(told["notes"]).decode()
    return write_npz({name: np.asarray(value) for name, value in told.items()})


def _told(values: NDArray[Any], column: Column, manifest: Manifest, as_text: bool) -> Any:
    """Give a column as an answer has it: labels by their names, and in JSON sets as lists of names."""
    if column.kind == "class" and manifest.classes is not None:
        return [manifest.classes[code] for code in values.tolist()]
    if column.kind == "classes" and as_text:
        return [list(compress(manifest.classes or (), row)) for row in values.tolist()]
    return values


def _contiguous(values: Any) -> Any:
    """Give orjson an array that it can write: it takes no strided view."""
    if isinstance(values, np.ndarray):
        return np.ascontiguousarray(values)
    raise TypeError


def _check_finite(form: Form, columns: Columns) -> None:
    for column in form.columns:
        name = column.name
        if column.kind == "number" and name in columns and not (finite := np.isfinite(columns[name])).all():
            row = finite.reshape(len(finite), -1).all(axis=1).argmin()
            expected = "values that the network can compute with"
            raise InputError(f"inputs[{row}]", expected, f"{name} that is not finite")
