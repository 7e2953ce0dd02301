"""BentoML, with its adaptive batching; the passes are tiled into one batch."""

from typing import Any

import bentoml
import mc
import numpy as np
import torch


@bentoml.service(workers=1)
class Uncertainty:
    """Answers requests of one row."""

    def __init__(self) -> None:
        self.network = mc.network()

    @bentoml.api(  # type: ignore[untyped-decorator]  # BentoML is not installed here
        batchable=True, max_batch_size=32, max_latency_ms=1000, route="/ask"
    )
    def ask(self, inputs: list[list[float]]) -> list[dict[str, Any]]:
        """Answer rows."""
        x = torch.from_numpy(np.asarray(inputs, np.float32))
        answers = mc.columns(mc.tiled(self.network, x, 100))
        return [mc.row(answers, index) for index in range(len(x))]
