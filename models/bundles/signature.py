"""The inputs of a model's graphs, and the conversion of JSON rows into arrays that fit these inputs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from caveat.models.bundles.features import Feature, Label
from caveat.models.bundles.records import LARGEST, encode_features
from caveat.models.bundles.words import describe
from caveat.models.errors import InputError

_SLICE: Final = 256
"""Items that are checked together."""

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

    def encode(self, rows: object, where: str = "inputs", first: int = 0) -> NDArray[Any]:
        """Turn rows of JSON into the array that the graphs take.

        Parameters
        ----------
        rows
            A list of rows: nested lists of numbers, or an array, in the signature's shape; for an input
            with features, a list of objects with one value per feature.
        where, first
            Name of ``rows`` in an error, and the number of the first of them.

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
            return self.fit(rows, where, first)
        if not isinstance(rows, list) or not rows:
            raise InputError(where, "a list of at least one row", describe(rows))
        if self.features is not None:
            return encode_features(rows, self.features, self.dtype, where, first)
        array = _array(rows)
        if array is None or not self._takes(array):
            self.refuse_misfits(rows, where, first)
            if array is not None and self._fits(array.shape):
                raise InputError(where, "integers that int64 can hold", "larger ones")
            raise InputError(
                where, f"rows of one size in {in_words(self.shape[1:])}", "rows of several sizes"
            )
        return self._checked(array, rows, where, first)

    def fit(self, array: NDArray[Any], where: str = "inputs", first: int = 0) -> NDArray[Any]:
        """Check an array of rows and convert it to the input's dtype; see `encode`."""
        if not self._takes(array) or not len(array):
            kind = "integers" if self.dtype == "int64" else "numbers"
            shape = ", ".join(map(str, self.shape))
            raise InputError(where, f"{kind} of shape ({shape})", f"{array.dtype} of shape {array.shape}")
        return self._checked(array, array, where, first)

    def _takes(self, array: NDArray[Any]) -> bool:
        return array.dtype.kind in ("iu" if self.dtype == "int64" else "iuf") and self._fits(array.shape)

    def _checked(self, array: NDArray[Any], rows: Any, where: str, first: int) -> NDArray[Any]:
        if self.dtype == "int64":
            self._check_range(array, where, first)
        elif array.dtype.kind != "f":
            array = array.astype(np.float64)  # rounded twice, as among others that are no integers
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(array, dtype=self.dtype)
        if not np.isfinite(array).all() and (unfit := self._unfit(array)).any():
            raise _not_finite(unfit, rows, where, first, self.dtype)
        self._check_sizes(array, where)
        return array

    def _unfit(self, array: NDArray[Any]) -> NDArray[np.bool]:
        """Find the values that are not finite, but for the missing ones of features, which are NaN."""
        unfit: NDArray[np.bool] = ~np.isfinite(array)
        if self.features is not None:
            unfit &= ~(np.isnan(array) & [feature.missing for feature in self.features])
        return unfit

    def _check_range(self, array: NDArray[Any], where: str, first: int) -> None:
        least, most = (-LARGEST, LARGEST) if self.below is None else (0, min(self.below - 1, LARGEST))
        if array.min() < least or array.max() > most:
            path = tuple(int(i) for i in np.argwhere((array < least) | (array > most))[0])
            place = where + _indices(path, first)
            raise InputError(place, f"an integer from {least} to {most}", str(array[path]))

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

    def refuse_misfits(self, rows: object, where: str = "inputs", first: int = 0) -> None:
        """Refuse rows of JSON that are no nested lists of numbers in the signature's shape.

        It stops at the first misfit, so that a misfit costs no more than rows that fit. NumPy would read
        booleans as 1 and 0, and one long text would make every value of the array as wide. Whether all rows
        have one size is for `encode` to see.

        Parameters
        ----------
        rows, where
            See `encode`.
        first
            Number of the first of the rows.

        Raises
        ------
        InputError
            Naming the place of the first misfit.
        """
        if not isinstance(rows, list) or not rows:
            raise InputError(where, "a list of at least one row", describe(rows))
        for index, row in enumerate(rows, first):
            if error := self._misfit(row, self.shape[1:], f"{where}[{index}]"):
                raise error

    def _misfit(self, value: Any, shape: tuple[Dimension, ...], where: str) -> InputError | None:
        if self.dtype == "int64":
            return _misfit(value, shape, {int}, "an integer", where)
        return _misfit(value, shape, {int, float}, "a number", where)


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
    value: Any, shape: tuple[Dimension, ...], numbers: set[type[float]], number: str, where: str
) -> InputError | None:
    """Find the first misfit in a value of a shape; ``number`` says in words which types ``numbers`` are."""
    if not shape:
        return None if type(value) in numbers else InputError(where, number, describe(value))
    size, *rest = shape
    if not isinstance(value, list) or (len(value) != size if isinstance(size, int) else not value):
        return InputError(where, in_words(shape), describe(value))
    for start in range(0, len(value), _SLICE):
        items = value[start : start + _SLICE]
        if _plain(items, rest, numbers):
            continue
        for index, item in enumerate(items, start):
            if error := _misfit(item, tuple(rest), numbers, number, f"{where}[{index}]"):
                return error
    return None


def _plain(items: list[Any], shape: Sequence[Dimension], numbers: set[type[float]]) -> bool:
    """Tell whether items are numbers, or lists of them in a shape, at the speed of C; False if unclear."""
    if not shape:
        return numbers.issuperset(map(type, items))
    size, *rest = shape
    if rest or not {list}.issuperset(map(type, items)):
        return False
    sized = {size}.issuperset(map(len, items)) if isinstance(size, int) else all(items)
    return sized and numbers.issuperset(map(type, chain.from_iterable(items)))


def _not_finite(unfit: NDArray[np.bool], rows: Any, where: str, first: int, dtype: str) -> InputError:
    path = tuple(int(i) for i in np.argwhere(unfit)[0])
    return InputError(
        where + _indices(path, first), f"a finite number that {dtype} can hold", str(_at(rows, path))
    )


def _indices(path: Sequence[int], first: int) -> str:
    return "".join(f"[{index}]" for index in (first + path[0], *path[1:]))


def _at(value: Any, path: Iterable[int]) -> Any:
    for index in path:
        value = value[index]
    return value


def in_words(shape: tuple[Dimension, ...]) -> str:
    """Say a shape in words.

    >>> in_words((8, 8))
    'a list of 8 lists of 8 numbers'
    """
    if not shape:
        return "a number"
    inner = (
        "numbers"
        if len(shape) == 1
        else in_words(shape[1:]).removeprefix("a ").replace("list of", "lists of", 1)
    )
    size = f"{shape[0]} " if isinstance(shape[0], int) else "at least one of "
    return f"a list of {size}{inner}"
