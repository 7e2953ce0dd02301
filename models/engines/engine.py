"""What a predictor asks of whatever runs a graph."""

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.signature import Inputs

Precision = Literal["float32", "bfloat16"]
"""What products are computed in; with bfloat16 they are still summed up in float32."""

Type = tuple[str, int]
"""The name of an array's type, as NumPy has it, and the number of its axes."""


class Engine(Protocol):
    """A graph, ready to run from any thread."""

    @property
    def inputs(self) -> dict[str, Type]:
        """What the graph takes, by name."""

    @property
    def outputs(self) -> list[list[Any]]:
        """Shapes of what it gives; an axis that has no fixed size is no integer."""

    def run(self, feed: Inputs) -> NDArray[np.floating]:
        """Run it; give its first output."""

    def stop(self) -> None:
        """End its runs before they are done."""
