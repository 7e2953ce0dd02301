"""The inputs of a model's graphs, and the conversion of JSON rows into arrays that fit these inputs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from caveat.models.bundles.features import Feature, Label
from caveat.models.bundles.records import LARGEST, encode_features
from caveat.models.bundles.words import describe
from caveat.models.errors import InputError

Inputs = Mapping[str, NDArray[Any]]
"""One array per input of the graphs, by name; the first axis of each is the row."""

SIZE = r"^[a-z_][a-z0-9_]*$"

SizeName = Annotated[str, Field(pattern=SIZE)]
"""The name of a size that each request chooses."""

Dimension = Annotated[int, Field(ge=1)] | SizeName
"""A fixed size, or the name of a size that each request chooses."""

ROWS = "rows"
"""The symbolic dimension that every input starts with."""


class Input(BaseModel):
    """One input of the graphs.

    ``shape`` starts with ``"rows"``; any other string is a size that each request chooses, within the
    least and greatest of its entry in ``sizes`` (a greatest of None: no limit). With ``below``, integers
    are indices from 0 to ``below - 1``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Label
    dtype: Literal["float32", "float64", "int64"]
    shape: Annotated[tuple[Dimension, ...], Field(min_length=1)]
    features: tuple[Feature, ...] | None = None
    sizes: dict[SizeName, tuple[int, int | None]] = {}
    below: int | None = None

    @model_validator(mode="after")
    def _holds_missing_values(self) -> Self:
        for feature in self.features or ():
            if self.dtype == "int64" and (feature.missing or feature.dates is not None):
                raise ValueError(f"{feature.name!r} may be missing or a date, which int64 can't hold")
        return self

    def encode(self, rows: object, where: str = "inputs") -> NDArray[Any]:
        """Turn rows of JSON into the array that the graphs take.

        Parameters
        ----------
        rows
            A list of rows: nested lists of numbers, or an array, in the signature's shape; for an input
            with features, a list of objects with one value per feature.
        where
            Name of ``rows`` in an error.

        Returns
        -------
        NDArray
            Shape ``self.shape`` with the symbolic sizes filled in, dtype ``self.dtype``, all finite but for
            the missing values of features, which are NaN.

        Raises
        ------
        InputError
            Naming the first row and field that does not fit.

        Examples
        --------
        >>> Input(name="x", dtype="float32", shape=("rows", 2)).encode([[1, 2], [3, 4.5]])
        array([[1. , 2. ],
               [3. , 4.5]], dtype=float32)
        """
        if isinstance(rows, np.ndarray):
            return self.fit(rows, where)
        if not isinstance(rows, list) or not rows:
            raise InputError(where, "a list of at least one row", describe(rows))
        if self.features is not None:
            return encode_features(rows, self.features, self.dtype, where)
        array = _array(rows)
        if array is None or not self._takes(array):
            raise self._first_misfit(rows, where)
        return self._checked(array, rows, where)

    def fit(self, array: NDArray[Any], where: str = "inputs") -> NDArray[Any]:
        """Check an array of rows and convert it to the input's dtype; see `encode`."""
        if not self._takes(array) or not len(array):
            kind = "integers" if self.dtype == "int64" else "numbers"
            shape = ", ".join(map(str, self.shape))
            raise InputError(where, f"{kind} of shape ({shape})", f"{array.dtype} of shape {array.shape}")
        return self._checked(array, array, where)

    def _takes(self, array: NDArray[Any]) -> bool:
        return array.dtype.kind in ("iu" if self.dtype == "int64" else "iuf") and self._fits(array.shape)

    def _checked(self, array: NDArray[Any], rows: Any, where: str) -> NDArray[Any]:
        if self.dtype == "int64":
            self._check_range(array, where)
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(array, dtype=self.dtype)
        if not np.isfinite(array).all() and (unfit := self._unfit(array)).any():
            raise _not_finite(unfit, rows, where, self.dtype)
        self._check_sizes(array, where)
        return array

    def _unfit(self, array: NDArray[Any]) -> NDArray[np.bool]:
        """Find the values that are not finite, but for the missing ones of features, which are NaN."""
        unfit: NDArray[np.bool] = ~np.isfinite(array)
        if self.features is not None:
            unfit &= ~(np.isnan(array) & [feature.missing for feature in self.features])
        return unfit

    def _check_range(self, array: NDArray[Any], where: str) -> None:
        least, most = (-LARGEST, LARGEST) if self.below is None else (0, min(self.below - 1, LARGEST))
        if array.min() < least or array.max() > most:
            first = np.argwhere((array < least) | (array > most))[0]
            place = where + _indices(int(i) for i in first)
            raise InputError(place, f"an integer from {least} to {most}", str(array[tuple(first)]))

    def _check_sizes(self, array: NDArray[Any], where: str) -> None:
        for name, size in self.chosen(array).items():
            least, most = self.sizes.get(name, (1, None))
            if size < least or (most is not None and size > most):
                allowed = f"at least {least}" if most is None else f"from {least} to {most}"
                raise InputError(where, f"rows with a {name} {allowed}", str(size))

    def chosen(self, array: NDArray[Any]) -> dict[str, int]:
        """Give the sizes that the request chose, by name, read from an array that fits the signature."""
        return {name: array.shape[axis] for axis, name in self._free_axes}

    @cached_property
    def _free_axes(self) -> list[tuple[int, str]]:
        return [(axis, size) for axis, size in enumerate(self.shape) if axis and isinstance(size, str)]

    def _fits(self, shape: tuple[int, ...]) -> bool:
        return len(shape) == len(self.shape) and all(
            size == asked or (isinstance(asked, str) and size > 0)
            for size, asked in zip(shape, self.shape, strict=True)
        )

    def _first_misfit(self, rows: list[Any], where: str) -> InputError:
        number = "an integer" if self.dtype == "int64" else "a number"
        return _misfit(rows, (len(rows), *self.shape[1:]), number, where) or InputError(
            where, f"rows of one size in {_words(self.shape[1:])}", "rows of several sizes"
        )


def refuse_non_numbers(rows: object, where: str = "inputs", depth: int = 64) -> None:
    """Refuse booleans and text where a number is meant.

    NumPy would read booleans as 1 and 0, and one long text would make every value of the array as wide.
    The search goes ``depth`` levels deep, which is NumPy's limit; deeper nesting fits no signature.

    Raises
    ------
    InputError
        Naming the place of the first boolean or text.
    """
    path = _path_to_non_number(rows, depth)
    if path:
        raise InputError(where + _indices(path), "a number", describe(_at(rows, path)))


def _path_to_non_number(value: object, depth: int) -> tuple[int, ...] | None:
    if isinstance(value, bool | str):
        return ()
    # A set of a list's types is collected at once: a check of each number takes ten times longer.
    if not isinstance(value, list) or not depth or {bool, str, list}.isdisjoint(map(type, value)):
        return None
    paths = ((index, _path_to_non_number(item, depth - 1)) for index, item in enumerate(value))
    return next(((index, *path) for index, path in paths if path is not None), None)


def unnamed(inputs: Sequence[Input], rows: object) -> object:
    """Take the rows of the only input out of an object that has them by its name."""
    (spec, *others) = inputs
    named = not others and isinstance(rows, Mapping) and list(rows) == [spec.name]
    return rows[spec.name] if named else rows  # type: ignore[index]


def encode(inputs: Sequence[Input], rows: object) -> dict[str, NDArray[Any]]:
    """Turn the ``inputs`` of a request into one array per input of the graphs.

    ``rows`` are an object with the rows of each input by name or, for a model with one input, the rows of
    that input.

    Raises
    ------
    InputError
        Naming the first input, row and field that does not fit.
    """
    if len(inputs) == 1:
        return {inputs[0].name: inputs[0].encode(unnamed(inputs, rows))}
    names = [spec.name for spec in inputs]
    if not isinstance(rows, dict) or set(rows) != set(names):
        raise InputError("inputs", f"an object with the fields {', '.join(names)}", describe(rows))
    arrays = {spec.name: spec.encode(rows[spec.name], f"inputs.{spec.name}") for spec in inputs}
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise InputError("inputs", "the same number of rows in every input", json.dumps(counts))
    chosen: dict[str, int] = {}
    for spec in inputs:
        for name, size in spec.chosen(arrays[spec.name]).items():
            if chosen.setdefault(name, size) != size:
                expected = f"a {name} of {chosen[name]}, as in the inputs before"
                raise InputError(f"inputs.{spec.name}", expected, str(size))
    return arrays


def sizes(inputs: Sequence[Input], arrays: Inputs) -> dict[str, int]:
    """Collect the sizes that a request chose, by name, from arrays that fit their signatures."""
    chosen: dict[str, int] = {}
    for spec in inputs:
        chosen |= spec.chosen(arrays[spec.name])
    return chosen


def _array(rows: list[Any]) -> NDArray[Any] | None:
    try:
        return np.array(rows)
    except (ValueError, OverflowError):  # ragged, or nested deeper than NumPy's limit
        return None


def _misfit(
    value: Any, shape: tuple[Dimension, ...], number: str, where: str, path: tuple[int, ...] = ()
) -> InputError | None:
    numbers = {int} if number == "an integer" else {int, float}
    if not shape:
        return None if type(value) in numbers else InputError(where + _indices(path), number, describe(value))
    size, *rest = shape
    if not isinstance(value, list) or (len(value) != size if isinstance(size, int) else not value):
        return InputError(where + _indices(path), _words(shape), describe(value))
    if not rest and numbers.issuperset(map(type, value)):
        return None
    found = (_misfit(item, tuple(rest), number, where, (*path, i)) for i, item in enumerate(value))
    return next((error for error in found if error), None)


def _not_finite(unfit: NDArray[np.bool], rows: Any, where: str, dtype: str) -> InputError:
    path = tuple(int(i) for i in np.argwhere(unfit)[0])
    return InputError(where + _indices(path), f"a finite number that {dtype} can hold", str(_at(rows, path)))


def _indices(path: Iterable[int]) -> str:
    return "".join(f"[{index}]" for index in path)


def _at(value: Any, path: Iterable[int]) -> Any:
    for index in path:
        value = value[index]
    return value


def _words(shape: tuple[Dimension, ...]) -> str:
    """Say a shape in words.

    >>> _words((8, 8))
    'a list of 8 lists of 8 numbers'
    """
    if not shape:
        return "a number"
    inner = (
        "numbers"
        if len(shape) == 1
        else _words(shape[1:]).removeprefix("a ").replace("list of", "lists of", 1)
    )
    size = f"{shape[0]} " if isinstance(shape[0], int) else "at least one of "
    return f"a list of {size}{inner}"
