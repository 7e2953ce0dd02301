"""Reads rows held out from the training of an exported model, with their truths."""

from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Inputs, encode
from caveat.models.errors import InputError
from caveat.training.data.arrays import check_targets, load_arrays
from caveat.training.data.columns.schema import Rows, read_features, read_truths
from caveat.training.data.files.read import TABLES, read_table
from caveat.training.data.files.texts import kind_of
from caveat.training.data.options import HeldOutOptions
from caveat.training.errors import DataError
from caveat.training.tasks import tasks

TRUTH: Final = "y"
"""Name of the array of truths in an NPZ file."""


class HeldOut(NamedTuple):
    """Rows as the graphs take them; indices of classes (int64), or values (float64), (B, T) for T targets."""

    inputs: Inputs
    y: NDArray[Any]
    notes: tuple[str, ...] = ()
    """What a person should know of how they were read."""


def read_held_out(path: Path, manifest: Manifest, options: HeldOutOptions | None = None) -> HeldOut:
    """Read rows and their truths for a model.

    Parameters
    ----------
    path
        ``.npz`` with ``y`` and one array for each input of the model (or ``x`` for a single input); or, for
        a model of named features, a table with columns for the features and the targets. Rows of a table
        without a truth are left out.
    manifest
        The model's manifest.
    options
        What the owner says of the file.

    Raises
    ------
    DataError
        If the file can't be read, does not fit the model, or can be read in two ways.
    """
    options = options or HeldOutOptions()
    inputs, y, notes = _read(path, manifest, options)
    if y is None:
        raise DataError(f"{path}: {_without_truth(path, inputs, manifest)}")
    count = len(next(iter(inputs.values())))
    if options.labels is not None and manifest.classes is None:
        raise DataError(f"{path}: --labels goes with classes, and this model predicts values")
    task = tasks.of(manifest)
    (_, *others) = targets = task.targets(manifest)
    if y.shape != ((count, len(targets)) if others else (count,)):
        of_each = f" and {len(targets)} targets" if others else ""
        raise DataError(
            f"{path}: {TRUTH} has shape {y.shape}; expected one truth for each of {count} rows{of_each}"
        )
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        row = int(np.argmin(np.isfinite(y.reshape(count, -1)).all(axis=1)))
        raise DataError(f"{path}: {TRUTH}[{row}]: expected finite numbers, got {y[row]}")
    return HeldOut(inputs, task.truths(y, manifest, f"{path}: {TRUTH}", options.labels), notes)


def read_rows(path: Path, manifest: Manifest, options: HeldOutOptions | None = None) -> Inputs:
    """Read rows without their truths, which the file may have or lack; see `read_held_out`.

    Raises
    ------
    DataError
        If the file can't be read, or does not fit the model.
    """
    return _read(path, manifest, options or HeldOutOptions(), truths=False)[0]


def _read(
    path: Path, manifest: Manifest, options: HeldOutOptions, *, truths: bool = True
) -> tuple[Inputs, NDArray[Any] | None, tuple[str, ...]]:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.suffix.lower() == ".npz":
        return (*_arrays(path, manifest), ())
    (spec, *others) = manifest.inputs
    if kind_of(path) in TABLES and (others or spec.features is None):
        raise DataError(f"{path}: this model takes arrays; expected .npz with {spec.name} and {TRUTH}")
    rows = Rows(read_table(path, options), options, manifest)
    y, known = read_truths(rows, manifest) if truths else (None, None)
    x = read_features(rows, spec.features or (), known).astype(spec.dtype)
    left_out = 0 if known is None else int((~known).sum())
    notes = (f"{left_out:,} rows of {path} have no truth and are left out",) if left_out else ()
    return {spec.name: x}, y, notes


def _without_truth(path: Path, inputs: Inputs, manifest: Manifest) -> str:
    names = ", ".join(inputs)
    if path.suffix.lower() == ".npz":
        return f"has the arrays {names}; expected {names} and {TRUTH}"
    return f"has no column {' and '.join(map(str, tasks.of(manifest).targets(manifest)))}, the truths"


def _arrays(path: Path, manifest: Manifest) -> tuple[Inputs, NDArray[Any] | None]:
    arrays = load_arrays(path)
    names = [spec.name for spec in manifest.inputs]
    if len(names) == 1 and "x" in arrays:
        arrays[names[0]] = arrays.pop("x")
    if arrays.keys() - {TRUTH} != set(names):
        raise DataError(
            f"{path}: has the arrays {', '.join(arrays)}; expected {', '.join(names)} and {TRUTH}"
        )
    y = arrays.pop(TRUTH, None)
    if y is not None:
        check_targets(y, f"{path}: {TRUTH}")
    (spec, *others) = manifest.inputs
    rows: Any = arrays if others else arrays[spec.name]
    if not others and spec.features is not None:
        fields = [feature.name for feature in spec.features]
        rows = [dict(zip(fields, row, strict=False)) for row in arrays[spec.name].tolist()]
    try:
        return encode(manifest.inputs, rows), y
    except InputError as error:
        raise DataError(f"{path}: {error}") from None
