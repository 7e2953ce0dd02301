"""Reads rows held out from the training of an exported model, with their truths."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Inputs, encode
from caveat.models.errors import InputError
from caveat.training.data.table import read_frame, values_of
from caveat.training.errors import DataError
from caveat.training.tasks import tasks

TRUTH = "y"
"""Name of the array of truths in an NPZ file."""


def read_held_out(path: Path, manifest: Manifest) -> tuple[Inputs, NDArray[Any]]:
    """Read rows and their truths for a model.

    Parameters
    ----------
    path
        ``.npz`` with ``y`` and one array for each input of the model (or ``x`` for a single input); or, for
        a model of named features, ``.csv`` or ``.parquet`` with columns for the features and the targets.
    manifest
        The model's manifest.

    Returns
    -------
    inputs, y
        Rows as the graphs take them; indices of classes (int64), or values (float64), (B, T) for T targets.

    Raises
    ------
    DataError
        If the file can't be read, or does not fit the model.
    """
    inputs, y = _read(path, manifest)
    if y is None:
        raise DataError(f"{path}: {_without_truth(path, inputs, manifest)}")
    count = len(next(iter(inputs.values())))
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
    return inputs, task.truths(y, manifest, f"{path}: {TRUTH}")


def read_rows(path: Path, manifest: Manifest) -> Inputs:
    """Read rows without their truths, which the file may have or lack; see `read_held_out`.

    Raises
    ------
    DataError
        If the file can't be read, or does not fit the model.
    """
    return _read(path, manifest)[0]


def _read(path: Path, manifest: Manifest) -> tuple[Inputs, NDArray[Any] | None]:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.suffix.lower() == ".npz":
        rows, y = _arrays(path, manifest)
    elif path.suffix.lower() in (".csv", ".parquet"):
        rows, y = _table(path, manifest)
    else:
        raise DataError(f"{path}: unknown type {path.suffix!r}; expected .npz, .csv or .parquet")
    try:
        return encode(manifest.inputs, rows), y
    except InputError as error:
        raise DataError(f"{path}: {error}") from None


def _without_truth(path: Path, inputs: Inputs, manifest: Manifest) -> str:
    names = ", ".join(inputs)
    if path.suffix.lower() == ".npz":
        return f"has the arrays {names}; expected {names} and {TRUTH}"
    return f"has no column {' and '.join(map(str, tasks.of(manifest).targets(manifest)))}, the truths"


def _arrays(path: Path, manifest: Manifest) -> tuple[Any, NDArray[Any] | None]:
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = dict(loaded)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: {error}; expected .npz with arrays") from None
    names = [spec.name for spec in manifest.inputs]
    if len(names) == 1 and "x" in arrays:
        arrays[names[0]] = arrays.pop("x")
    if arrays.keys() - {TRUTH} != set(names):
        raise DataError(
            f"{path}: has the arrays {', '.join(arrays)}; expected {', '.join(names)} and {TRUTH}"
        )
    y = arrays.pop(TRUTH, None)
    (spec, *others) = manifest.inputs
    if not others and spec.features is not None:
        names = [feature.name for feature in spec.features]
        return [dict(zip(names, row, strict=False)) for row in arrays[spec.name].tolist()], y
    return arrays if others else arrays[spec.name], y


def _table(path: Path, manifest: Manifest) -> tuple[Any, NDArray[Any] | None]:
    (spec, *others) = manifest.inputs
    if others or spec.features is None:
        raise DataError(f"{path}: this model takes arrays; expected .npz with {spec.name} and {TRUTH}")
    frame = read_frame(path)
    targets = [name or "" for name in tasks.of(manifest).targets(manifest)]
    missing = {feature.name for feature in spec.features} - set(frame.columns)
    if missing:
        raise DataError(f"{path}: no column {sorted(missing)[0]!r}; it has {', '.join(frame.columns)}")
    columns = {feature.name: values_of(frame[feature.name], path).tolist() for feature in spec.features}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if not set(targets) <= set(frame.columns):
        return rows, None
    truths = [values_of(frame[target], path) for target in targets]
    return rows, np.stack(truths, axis=1) if len(truths) > 1 else truths[0]
