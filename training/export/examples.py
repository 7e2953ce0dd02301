"""The example of a bundle: rows of the user's, or rows made up of them, that the finished graphs answer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from caveat.models.bundles import example as files
from caveat.models.bundles.bundle import BundleError
from caveat.models.bundles.example import LARGEST, example_rows
from caveat.models.bundles.manifest import EXAMPLE, Manifest
from caveat.models.bundles.signature import Inputs
from caveat.models.predictor import Predictor
from caveat.models.trial import try_out
from caveat.training.errors import ExportError
from caveat.training.example import example, made_up
from caveat.training.vocabulary import ExampleRows

_SHORT = 2  # rows of an example that is written as text
_MOST_ROWS = 100  # rows of the user's that made-up ones are like


@dataclass(frozen=True)
class Example:
    """An example as a bundle holds it: in the manifest or, if its rows are long, in a file.

    Parameters
    ----------
    text
        The ``inputs`` of a request, as a client writes them.
    files
        Content of the file, by its name.
    """

    text: list[Any] | dict[str, Any] | None
    files: Mapping[str, bytes]


def tried_example(predictor: Predictor, rows: Mapping[str, Tensor], kind: ExampleRows) -> Example:
    """Choose example rows that both graphs answer with finite numbers, as a service tries them.

    Parameters
    ----------
    predictor
        The bundle; its own example becomes the one that is chosen.
    rows
        The user's example.
    kind
        Whether the bundle keeps the first rows of the user's example, or rows made up like them.

    Raises
    ------
    ExportError
        If there are no such rows.
    """
    manifest = predictor.manifest
    arrays = {name: tensor.numpy()[:_MOST_ROWS] for name, tensor in rows.items()}
    reason = ""
    for chosen in _candidates(manifest, arrays, kind):
        written = _written(manifest, chosen)
        predictor.manifest = manifest.model_copy(update={"example": written.text})
        predictor.example = files.read(manifest.inputs, *written.files.values()) if written.files else None
        try:
            try_out(predictor, example_rows(predictor.manifest, predictor.example))
        except BundleError as error:
            reason = reason or str(error)
        else:
            return written
    if kind == "keep":
        raise ExportError(f"{reason}, which is the example that the export was given; give other rows first")
    raise ExportError(
        f"{reason}, which was made up of the example's rows. Keep the example's own first rows with "
        "--example-rows keep, if all who get the bundle or ask its service may see them; or give more rows"
    )


def _candidates(manifest: Manifest, rows: Inputs, kind: ExampleRows) -> Iterator[Inputs]:
    largest = max(array[0].size for array in rows.values())
    count = _SHORT if largest <= files.MAX_VALUES else 1
    if kind == "keep":
        yield {name: array[:count] for name, array in rows.items()}
    else:
        yield from made_up(manifest.inputs, rows, count)


def _written(manifest: Manifest, rows: Mapping[str, NDArray[Any]]) -> Example:
    texts = {spec.name: example(spec, rows[spec.name]) for spec in manifest.inputs}
    if all(text is not None for text in texts.values()):
        return Example(texts if len(texts) > 1 else next(iter(texts.values())), {})
    if any(np.size(array[0]) > LARGEST for array in rows.values()):
        return Example(None, {})
    return Example(None, {EXAMPLE: files.write(manifest.inputs, rows)})
