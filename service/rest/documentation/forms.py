"""The schemas of predictions, from the forms of the tasks."""

from typing import Any

from caveat.models.tasks import tasks
from caveat.models.tasks.column import Axis, Column, Form

_SOURCE: dict[str, Any] = {
    "model": {"type": "string", "description": "The model that answered."},
    "version": {"type": "integer", "description": "The model's version."},
    "precision": {
        "const": "bfloat16",
        "description": "Precision of the matrix products; present unless it is float32.",
    },
}
"""Members of every answer."""

_PASSES: dict[str, Any] = {
    "samples": {"type": "integer", "description": "Passes that were asked for."},
    "seed": {
        "type": "integer",
        "description": "The seed of the passes; a request with this seed gets the same answer.",
    },
    "notes": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "Why fields are missing, by their names; present if a note is due.",
    },
}
"""Members of every answer from passes."""

_OPTIONAL = ("precision", "notes")

_VALUES: dict[str, dict[str, Any]] = {
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "class": {"type": "string"},
    "classes": {"type": "array", "items": {"type": "string"}},
}


def schemas() -> dict[str, Any]:
    """Write the schema of every form of answer, by its name."""
    pairs = [pair for task in tasks.every() for pair in task.forms]
    return {
        form.name: schema(form, {} if form is prediction else _PASSES)
        for prediction, estimate in pairs
        for form in (prediction, estimate)
    }


def schema(form: Form, members: dict[str, Any]) -> dict[str, Any]:
    """Write the schema of answers of a form, which have these members besides the columns."""
    members = {**_SOURCE, **members}
    return {
        "type": "object",
        "title": form.name,
        "description": form.description,
        "properties": members | {column.name: _column(column) for column in form.columns},
        "required": [name for name in members if name not in _OPTIONAL]
        + [column.name for column in form.columns if not column.optional],
        "additionalProperties": False,
    }


def _column(column: Column) -> dict[str, Any]:
    entry = _VALUES[column.kind]
    for axis in reversed(column.axes):
        entry = _axis(axis, entry)
    return {"type": "array", "items": entry, "description": column.description}


def _axis(axis: Axis, entry: dict[str, Any]) -> dict[str, Any]:
    size = {"minItems": 2, "maxItems": 2} if axis == "bounds" else {}
    return {"type": "array", "items": entry, **size}
