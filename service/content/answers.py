"""Reading requests and writing answers: bytes to rows and options, columns to bytes."""

from collections.abc import Sequence
from itertools import compress
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import InputError, Inputs
from caveat.models.estimates.cohort import Asked
from caveat.models.predictor import Predictor
from caveat.service.content import body
from caveat.service.content.arrays import NPY, write_npy, write_npz
from caveat.service.content.request import PredictRequest, UncertaintyRequest, parse, parse_array

_MAIN = ("mean", "probabilities", "prediction")
"""The main array of each kind of answer."""


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
    asked.decisions.check(predictor)
    return inputs, asked


def write(predictor: Predictor, asked: Asked | None, columns: Columns, media_type: str) -> bytes:
    """Write an answer as JSON, as its main array (.npy), or as all of its arrays (.npz).

    Raises
    ------
    InputError
        If the network overflows on a row, which JSON has no number for.
    """
    manifest = predictor.manifest
    told: dict[str, Any] = {"model": manifest.name, "version": manifest.version}
    if predictor.precision != "float32":
        told["precision"] = predictor.precision
    if asked is None:
        columns = _deterministic(manifest, columns)
    else:
        told |= {"samples": asked.samples, "seed": asked.seed}
    told |= columns
    if asked is not None and not asked.tolerance:  # every row got all passes
        del told["passes"]
    if manifest.classes:
        told["label"] = [manifest.classes[label] for label in columns["label"]]
    if media_type == body.JSON:
        if manifest.classes and "prediction_set" in columns:
            told["prediction_set"] = _names(columns["prediction_set"], manifest.classes)
        content = orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)
        if b"null" in content:  # orjson writes null for NaN and infinity; a class name may hold it, too
            _check_finite(columns)
        return content
    _check_finite(columns)
    if media_type == NPY:
        return write_npy(next(columns[name] for name in _MAIN if name in columns))
    return write_npz({name: np.asarray(value) for name, value in told.items()})


def _names(held: NDArray[np.bool_], classes: Sequence[str]) -> list[list[str]]:
    return [list(compress(classes, row)) for row in held.tolist()]


def _deterministic(manifest: Manifest, columns: Columns) -> Columns:
    output = columns["output"]
    if manifest.task == "classification":
        return {"label": output.argmax(axis=-1), "probabilities": output}
    return {"prediction": output}


def _check_finite(columns: Columns) -> None:
    for name in (*_MAIN, "variance"):  # where these are finite, all other columns are
        if name in columns and not (finite := np.isfinite(columns[name])).all():
            row = finite.reshape(len(finite), -1).all(axis=1).argmin()
            expected = "values that the network can compute with"
            raise InputError(f"inputs[{row}]", expected, f"a {name} that is not finite")
