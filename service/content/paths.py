"""The paths of the two verbs."""

import re
from itertools import product
from typing import Final

PATHS: Final = ("", "/models/{name}", "/models/{name}/versions/{version}")
"""Prefixes of the verbs: for the default model, a model's highest version, and a named version."""

PREDICT: Final = "predict"
UNCERTAINTY: Final = "predict/uncertainty"

_ROUTES: Final = [(f"{path}/{verb}", verb) for path, verb in product(PATHS, (PREDICT, UNCERTAINTY))]
_PATTERNS: Final = [
    (re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", route)), route, verb) for route, verb in _ROUTES
]


def find(path: str) -> tuple[str, str, dict[str, str]] | None:
    """Find the route of a path, its verb, and the name and version in the path.

    >>> find("/models/digits/predict")
    ('/models/{name}/predict', 'predict', {'name': 'digits'})
    """
    for pattern, route, verb in _PATTERNS:
        if found := pattern.fullmatch(path):
            return route, verb, found.groupdict()
    return None
