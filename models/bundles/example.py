"""Example rows of a model, for its documentation and its warm-up."""

from collections.abc import Sequence
from typing import Any

from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Input


def example_rows(manifest: Manifest) -> list[Any] | dict[str, Any]:
    """Give valid rows: the model's own example or, without one, zeros and first categories."""
    return manifest.example or _zeros(manifest.inputs)


def _zeros(inputs: Sequence[Input]) -> list[Any] | dict[str, Any]:
    if len(inputs) > 1:
        return {spec.name: _zeros([spec]) for spec in inputs}
    spec = inputs[0]
    if spec.features is not None:
        return [{feature.name: (feature.categories or [0])[0] for feature in spec.features}]
    row: Any = 0
    for size in reversed(spec.shape[1:]):
        row = [row] * (size if isinstance(size, int) else spec.sizes.get(size, (1, None))[0])
    return [row]
