"""The module that runs N passes of a network at once."""

from typing import Any

from torch import Tensor, fx, nn

from caveat.training.export.fold import Fold
from caveat.training.export.rows import Rows


class Passes(nn.Module):
    """Maps rows and the draws of N passes to outputs (N, B, ...).

    ``forward`` takes the inputs of the network, then one tensor of draws (N, ...) for each site.
    """

    def __init__(self, graph: fx.GraphModule, rows: Rows, inputs: int) -> None:
        super().__init__()
        self.network = graph  # not self.graph, which the exporter expects to be a graph of fx
        self._rows = rows
        self._inputs = inputs
        for part in self.modules():
            part.training = False  # the graph has no modes; this avoids a warning of the exporter

    def forward(self, *arguments: Tensor) -> Any:
        """Run the passes."""
        inputs, draws = arguments[: self._inputs], arguments[self._inputs :]
        return Fold(self.network, self._rows, draws, inputs[0].shape[0]).run(*inputs)
