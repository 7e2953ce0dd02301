"""The interface between a predictor and an engine, which runs a graph."""

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.signature import Inputs

Precision = Literal["float32", "bfloat16"]
"""The format in which products are computed; with bfloat16 they are still summed up in float32."""

Type = tuple[str, int]
"""The type of an input: the name of its NumPy dtype, and its number of axes."""


class Engine(Protocol):
    """A graph, ready to run from any thread."""

    @property
    def inputs(self) -> dict[str, Type]:
        """Types of the graph's inputs, by name."""

    @property
    def outputs(self) -> list[list[Any]]:
        """Shapes of the graph's outputs; an axis is an integer only if its size is fixed."""

    def run(self, feed: Inputs) -> NDArray[np.floating]:
        """Run the graph and give its first output.

        Raises
        ------
        TimeoutError
            If the run is not over by the `Deadline` of its thread.
        """
