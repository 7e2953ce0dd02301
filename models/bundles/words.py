"""Values and places of a request in a few words."""

import json
from collections.abc import Iterable


def describe(value: object) -> str:
    """Describe a JSON value in a few words, however large it is."""
    match value:
        case None:
            return "null"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"an object with the fields {some(value)}" if value else "an empty object"
        case _:
            try:
                return shortened(json.dumps(value, default=repr))
            except ValueError:
                return "an integer of thousands of digits"


def shortened(text: str) -> str:
    """Cut a text to 80 characters."""
    return text if len(text) <= 80 else text[:77] + "..."


def some(names: Iterable[str]) -> str:
    """List the first ten names, and say how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - 10} more" if len(listed) > 10 else ""
    return ", ".join(shortened(json.dumps(name, ensure_ascii=False)) for name in listed[:10]) + more
