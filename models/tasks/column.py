"""The fields of answers."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "integer", "boolean", "class", "classes"]
"""What an entry is: ``class`` is the index of a class, and ``classes`` a flag for each class; where an answer
is text, classes have their names, and a set lists those that it holds."""

Axis = Literal["classes", "targets", "bounds", "quantiles"]


@dataclass(frozen=True)
class Column:
    """A field of an answer, with an entry for each row.

    Parameters
    ----------
    name
        Name of the field.
    description
        What it says, for a person.
    kind
        What an entry is.
    axes
        The axes of an entry: none for a single value.
    optional
        Whether some answers go without the field.
    """

    name: str
    description: str
    kind: Kind = "number"
    axes: tuple[Axis, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Form:
    """The fields of one kind of answer.

    Parameters
    ----------
    name
        Name of the form in the OpenAPI document.
    description
        What the answer is, for a person.
    main
        Name of the column that stands for the whole answer, where there is room for one array only.
    columns
        The fields, in the order of the answer. An answer may lack those that are optional.
    """

    name: str
    description: str
    main: str
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column:
        """Find a column by its name."""
        return next(column for column in self.columns if column.name == name)


PASSES = Column(
    "passes",
    "Passes that each row got; present if the request had a tolerance.",
    kind="integer",
    optional=True,
)
"""A column of every answer from passes."""
