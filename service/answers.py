"""What is answered: from the bytes of a request to the bytes of its answer."""

import secrets
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from models.manifest import Manifest
from models.masks import MAX_SEED
from models.predictor import Predictor
from models.signature import InputError
from models.uncertainty import Columns, estimate
from service.request import PredictRequest, UncertaintyRequest, parse


@dataclass(frozen=True)
class Answer:
    """An answer, and the work that it took.

    Parameters
    ----------
    content
        JSON.
    rows, passes
        Rows answered, and stochastic passes made over them, each row counted by itself.
    """

    content: bytes
    rows: int
    passes: int = 0


def predict(predictor: Predictor, raw: bytes, max_rows: int) -> Answer:
    """Answer the body of a request without dropout."""
    _, inputs = parse(raw, PredictRequest, predictor.manifest, max_rows)
    with np.errstate(all="ignore"):
        output = predictor.predict(inputs)
    if predictor.manifest.task == "classification":
        columns = _finite({"label": output.argmax(axis=-1), "probabilities": output})
    else:
        columns = _finite({"prediction": output})
    return Answer(_json(predictor.manifest, columns), len(output))


def uncertainty(predictor: Predictor, raw: bytes, kind: type[UncertaintyRequest], max_rows: int) -> Answer:
    """Answer the body of a request from the stochastic passes that it asks for."""
    body, inputs = parse(raw, kind, predictor.manifest, max_rows)
    seed = secrets.randbelow(MAX_SEED + 1) if body.seed == "random" else body.seed
    with np.errstate(all="ignore"):  # what overflows is told by `_finite`
        columns = _finite(estimate(predictor, inputs, body.samples, seed))
    rows = len(columns["mean"])
    content = _json(predictor.manifest, columns, samples=body.samples, seed=seed)
    return Answer(content, rows, rows * body.samples)


def _finite(columns: Columns) -> Columns:
    """Refuse rows so far out that the network overflows on them: JSON has no number for that."""
    for name, column in columns.items():
        finite = np.isfinite(column).reshape(len(column), -1).all(axis=1)
        if not finite.all():
            where = f"inputs[{finite.argmin()}]"
            raise InputError(
                where, "values that the network can compute with", f"a {name} that is not finite"
            )
    return columns


def _json(manifest: Manifest, columns: Columns, **asked: int) -> bytes:
    content: dict[str, Any] = {"model": manifest.name, "version": manifest.version, **asked, **columns}
    if manifest.classes is not None:
        content["label"] = [manifest.classes[label] for label in columns["label"]]
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
