"""Named features of a table: what a client may send for each, and the number that the graphs take for it."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from caveat.models.bundles.days import check_form, days_of
from caveat.models.bundles.spelling import folded, is_missing, tidy, unambiguous
from caveat.models.bundles.words import describe, some
from caveat.models.errors import InputError

Label = Annotated[str, Field(max_length=1000, pattern=r"^[^\n\t]*$")]
"""A name shown to people, of a single line."""

OTHER: Final = -1.0
"""The code of a category that training did not see."""

ISO: Final = "iso"
"""The form of dates that are written as ISO 8601 says."""

_WHOLE: Final = re.compile(r"-?[0-9]+\.0")


class Feature(BaseModel):
    """One named column of a tabular input: numbers unless it has categories or dates.

    The graphs take a number as it is, the index of a category, a date as days since 1970, and NaN for a
    missing value.

    Parameters
    ----------
    name
        Name of the column.
    categories
        The categories of a categorical feature.
    dates
        The form in which a feature of dates may be written beside ISO 8601, as
        `datetime.datetime.strptime` takes it; or `ISO`.
    missing
        Whether a value may be missing.
    other
        Whether a category may be one that training did not see; the graphs then take `OTHER`.
    unit
        What the numbers had around them in training, such as ``%`` or ``kg``; a client sends them without.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Label
    categories: tuple[Label, ...] | None = None
    dates: Label | None = None
    missing: bool = False
    other: bool = False
    unit: Label | None = None

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if self.dates is not None and self.categories is not None:
            raise ValueError(f"feature {self.name!r} has both categories and dates")
        if self.other and self.categories is None:
            raise ValueError(f"feature {self.name!r} takes other categories, but has none")
        if self.unit is not None and not self.is_number:
            raise ValueError(f"feature {self.name!r} has a unit, but is no number")
        if self.dates not in (None, ISO):
            check_form(self.dates)
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the feature with other fields, and without what was worked out from the old ones."""
        return type(self)(**dict(super().model_copy(update=update, deep=deep)))

    @property
    def is_number(self) -> bool:
        """Whether the feature has neither categories nor dates."""
        return self.categories is None and self.dates is None

    @property
    def scalars(self) -> list[float | bool]:
        """The numbers and booleans of JSON that stand for a category.

        >>> Feature(name="rooms", categories=("1", "2.0", "03", "true")).scalars
        [1, 2.0, True]
        """
        found: dict[tuple[bool, float], float | bool] = {}
        for category in self.categories or ():
            try:
                value = json.loads(category)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, int | float) and self._code(value) == self._codes[category]:
                found.setdefault((isinstance(value, bool), value), value)
        return list(found.values())

    @property
    def expected(self) -> str:
        """What a client may send, in words."""
        what = "a number" + (f", in {self.unit}" if self.unit else "")
        if self.dates is not None:
            form = "" if self.dates == ISO else f", or as {self.dates}"
            what = f"a date or time as a text such as 2026-03-01 or 2026-03-01T12:30:00{form}"
        elif self.other:
            what = f"a category, such as {some((self.categories or ())[:10])}"
        elif self.categories is not None:
            what = f"one of {some(self.categories)}"
        return f"{what}, or null" if self.missing else what

    def values(self, values: Sequence[Any], where: Callable[[int], str]) -> NDArray[np.float64]:
        """Turn the values of a column, as JSON holds them, into the numbers that the graphs take, shape (B,).

        Parameters
        ----------
        values
            One value for each row.
        where
            Gives the place of a row's value, for an error.

        Raises
        ------
        InputError
            Naming the first value that does not fit, and all rows with a category that it does not know.
        """
        fast = self._fast(values)
        if fast is not None:
            return fast
        numbers = list(self._each(values))
        unfit = [row for row, number in enumerate(numbers) if number is None]
        if unfit:
            first, rows = values[unfit[0]], tuple(unfit) if self.categories is not None else ()
            infinite = self.is_number and isinstance(first, int | float) and not isinstance(first, bool)
            got = str(first) if isinstance(first, float) else describe(first)
            raise InputError(where(unfit[0]), "a finite number" if infinite else self.expected, got, rows)
        return np.array(numbers, np.float64)

    def _each(self, values: Sequence[Any]) -> Iterator[float | None]:
        """Turn each value into its number, or None if it does not fit; equal texts are read once."""
        read: dict[str, float | None] = {}
        for value in values:
            if type(value) is not str:
                yield self.number(value)
                continue
            if value not in read:
                read[value] = self.number(value)
            yield read[value]

    def number(self, value: Any) -> float | None:
        """Turn a value, as JSON holds it, into the number that the graphs take; None if it does not fit."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return math.nan if self.missing else None
        if self.categories is not None:
            return self._code(value)
        if self.dates is not None:
            return self._days(value)
        return None if isinstance(value, bool) else _finite(value)

    def _fast(self, values: Sequence[Any]) -> NDArray[np.float64] | None:
        """Convert values of the commonest types at once; None if there are others."""
        if self.dates is not None:
            return None
        if self.categories is not None:
            try:
                return np.array([self._plain_codes[value] for value in values])
            except (KeyError, TypeError):
                return None
        if not {int, float, type(None) if self.missing else int}.issuperset(map(type, values)):
            return None
        try:
            numbers = np.array(values, np.float64)  # None becomes NaN
        except OverflowError:
            return None
        fit = ~np.isinf(numbers) if self.missing else np.isfinite(numbers)
        return numbers if fit.all() else None

    @cached_property
    def _codes(self) -> dict[str, float]:
        return {category: float(code) for code, category in enumerate(self.categories or ())}

    @cached_property
    def _plain_codes(self) -> dict[Any, float]:
        """The codes of the values that a client is to send."""
        return {**self._codes, **({None: math.nan} if self.missing else {})}

    @cached_property
    def _folded(self) -> dict[str, float]:
        return {key: self._codes[text] for key, text in unambiguous(self._codes).items()}

    @cached_property
    def _longest(self) -> int:
        """Most letters of a text that is compared with the categories but for blanks and capitals.

        A letter takes four at most, apart from its accents. To order a million accents takes minutes.
        """
        return 4 * max(map(len, self._codes), default=0) + 64

    def _code(self, value: Any) -> float | None:
        spellings = _spellings(value)
        for spelling in spellings:
            if (code := self._codes.get(spelling)) is not None:
                return code
        for spelling in spellings:
            if len(spelling) > self._longest:
                continue
            for codes, spelled in ((self._codes, tidy), (self._folded, folded)):
                if (code := codes.get(spelled(spelling))) is not None:
                    return code
        if isinstance(value, str) and is_missing(value):
            return math.nan if self.missing else None
        return OTHER if self.other and spellings else None

    def _days(self, value: Any) -> float | None:
        if isinstance(value, int) and not isinstance(value, bool) and self.dates != ISO:
            value = str(value)  # such as 20260301
        if not isinstance(value, str):
            return None
        if self.missing and is_missing(value):
            return math.nan
        try:
            return days_of(value, None if self.dates == ISO else self.dates)
        except ValueError:
            return None


def _spellings(value: Any) -> list[str]:
    """List the texts that a category may have which a client writes as a value: 3.0 or true, for example."""
    if isinstance(value, str):  # programs write whole numbers as 3.0 in a column with missing ones
        return [value, value.strip().removesuffix(".0")] if _WHOLE.fullmatch(value.strip()) else [value]
    if isinstance(value, bool):
        return [json.dumps(value)]
    number = _finite(value)
    if number is None:
        return []
    return [*([str(int(value))] if number.is_integer() else []), repr(number)]


def _finite(value: Any) -> float | None:
    """Convert a number to float64; None if it is another value, or too large."""
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
