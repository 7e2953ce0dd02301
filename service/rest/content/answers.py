"""Reading requests and writing answers: bytes to rows and options, columns to bytes."""

from collections.abc import Iterator
from itertools import compress
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Inputs
from caveat.models.errors import InputError
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
) -> tuple[Inputs, Asked | None]:
    """Read the rows of a request and its options; the options are None for an answer without dropout."""
    take = parse_array if media_type == NPY else parse
    request, inputs = take(raw, query, kind, predictor.manifest, max_rows)
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
    if asked is None:
        form = task.prediction
    else:
        form = task.estimate
        told |= {"samples": asked.samples, "seed": asked.seed}
        if not asked.tolerance:  # every row got all passes
            columns = {name: column for name, column in columns.items() if name != "passes"}
        if notes := task.notes(asked.decisions, predictor.calibration):
            told["notes"] = notes
    if media_type == body.JSON:
        told |= {name: _plain(columns[name], of, manifest) for name, of in _present(form, columns)}
        content = orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)
        if b"null" in content:  # orjson writes null for NaN and infinity; a class name may hold it, too
            _check_finite(form, columns)
        return content
    _check_finite(form, columns)
    if media_type == NPY:
        return write_npy(columns[form.main])
    told |= {name: _array(columns[name], of, manifest) for name, of in _present(form, columns)}
    if "notes" in told:
        told["notes"] = orjson.dumps(told["notes"]).decode()
    return write_npz({name: np.asarray(value) for name, value in told.items()})


def _present(form: Form, columns: Columns) -> Iterator[tuple[str, Column]]:
    """List the columns that are there, in the order of their form; an answer may be partial."""
    return ((column.name, column) for column in form.columns if column.name in columns)


def _plain(values: NDArray[Any], column: Column, manifest: Manifest) -> Any:
    """Give a column as JSON writes it."""
    match column.kind:
        case "class":
            return _array(values, column, manifest)
        case "classes":
            return [list(compress(manifest.classes or (), row)) for row in values.tolist()]
    return np.ascontiguousarray(values)  # orjson writes no other arrays


def _array(values: NDArray[Any], column: Column, manifest: Manifest) -> Any:
    """Give a column as an archive of arrays holds it."""
    if column.kind != "class" or manifest.classes is None:
        return values
    return [manifest.classes[code] for code in values.tolist()]


def _check_finite(form: Form, columns: Columns) -> None:
    for name, column in _present(form, columns):
        if column.kind == "number" and not (finite := np.isfinite(columns[name])).all():
            row = finite.reshape(len(finite), -1).all(axis=1).argmin()
            expected = "values that the network can compute with"
            raise InputError(f"inputs[{row}]", expected, f"a {name} that is not finite")
