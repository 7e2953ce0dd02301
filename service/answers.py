"""What is answered: from the bytes of a request to a job, and from its columns to the bytes of the answer."""

import secrets
from typing import Any

import numpy as np
import orjson

from models.cohort import Asked
from models.manifest import Manifest
from models.masks import MAX_SEED
from models.signature import InputError, Inputs
from models.uncertainty import Columns
from service.request import PredictRequest, UncertaintyRequest, parse


def read(
    raw: bytes, kind: type[PredictRequest], manifest: Manifest, max_rows: int
) -> tuple[Inputs, Asked | None]:
    """Read rows, and what is asked of them: nothing for an answer without dropout."""
    body, inputs = parse(raw, kind, manifest, max_rows)
    if not isinstance(body, UncertaintyRequest):
        return inputs, None
    seed = secrets.randbelow(MAX_SEED + 1) if body.seed == "random" else body.seed
    return inputs, Asked(body.samples, seed, body.sampler, body.tolerance or 0.0)


def write(manifest: Manifest, asked: Asked | None, columns: Columns) -> bytes:
    """Write an answer as JSON.

    Raises
    ------
    InputError
        If a row lies so far out that the network overflows on it: JSON has no number for that.
    """
    told: dict[str, Any] = {"model": manifest.name, "version": manifest.version}
    if asked is None:
        columns = _deterministic(manifest, columns)
    else:
        told |= {"samples": asked.samples, "seed": asked.seed}
        columns = {name: column for name, column in columns.items() if name != "passes" or asked.tolerance}
    _check_finite(columns)
    told |= columns
    if manifest.classes is not None:
        told["label"] = [manifest.classes[label] for label in columns["label"]]
    return orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)


def _deterministic(manifest: Manifest, columns: Columns) -> Columns:
    output = columns["output"]
    if manifest.task == "classification":
        return {"label": output.argmax(axis=-1), "probabilities": output}
    return {"prediction": output}


def _check_finite(columns: Columns) -> None:
    for name in ("probabilities", "prediction", "mean", "variance"):  # where these are, all others are too
        if name in columns and not (finite := np.isfinite(columns[name])).all():
            row = finite.reshape(len(finite), -1).all(axis=1).argmin()
            expected = "values that the network can compute with"
            raise InputError(f"inputs[{row}]", expected, f"a {name} that is not finite")
