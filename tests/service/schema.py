"""Holds answers to the schemas that the service states."""

from types import SimpleNamespace
from typing import Any

import jsonschema_rs

from caveat.service.rest.documentation import forms

_SCHEMAS = forms.schemas()


def conforming(form: str, answer: dict[str, Any]) -> SimpleNamespace:
    """Check that an answer has a form; give its fields as attributes, None for optional ones that lack."""
    schema = _SCHEMAS[form]
    jsonschema_rs.validate(schema, answer)
    return SimpleNamespace(**{**dict.fromkeys(schema["properties"]), **answer})
