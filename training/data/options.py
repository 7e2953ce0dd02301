"""How a user's file is read: one definition for the flags of commands and for Python."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from caveat.training.vocabulary import Labels

Columns = Annotated[tuple[str, ...], Field(min_length=1)]


class FileOptions(BaseModel):
    """What the content of a text file does not tell beyond doubt."""

    separator: str | None = Field(
        None,
        description="what stands between the values of a text file, such as ; or tab; unless given, the one "
        "of comma, semicolon, tab and | by which all lines have equally many values",
    )
    decimal: Literal[".", ","] | None = Field(
        None, description="the decimal mark of numbers in text; the other one then separates thousands"
    )
    encoding: str | None = Field(
        None, description="encoding of a text file, such as latin-1; unless given, UTF-8"
    )


class HeldOutOptions(FileOptions):
    """How rows with their truths are read for a model, whose features say what each column holds."""

    numeric: Columns | None = Field(
        None, description="columns of numbers in which what is no number counts as missing"
    )
    dates: Columns | None = Field(
        None, description="columns of dates in which what is no date counts as missing"
    )
    labels: Labels | None = Field(
        None,
        description="what whole numbers stand for that can be both: names of classes, or indices from 0 on",
    )


class TableOptions(FileOptions):
    """How the columns of a table are meant; unless stated, their values tell."""

    drop: Columns | None = Field(None, description="columns to leave out, such as id,name")
    features: Columns | None = Field(None, description="columns to predict from, all others are left out")
    categorical: Columns | None = Field(
        None, description="columns of categories, whose texts stay as they are, apart from blanks"
    )
    numeric: Columns | None = Field(
        None,
        description="columns of numbers, whatever stands around them; what is no number counts as missing",
    )
    dates: Columns | None = Field(
        None,
        description="columns of dates or times, which become calendar features; each may state its form, as "
        "in born=%d/%m/%Y",
    )
    unseen: Literal["other"] | None = Field(
        None,
        description="other: answer with less certainty where a category is one that training did not see, "
        "learned from categories that are masked at random; unless given, the service refuses such rows",
    )
