"""LitServe, with its batching over requests; the passes are tiled into one batch."""

import os
from typing import Any

import litserve
import mc
import torch
from torch import Tensor


class Uncertainty(litserve.LitAPI):  # type: ignore[misc]  # LitServe is not installed here
    """Answers requests of one row."""

    def setup(self, device: str) -> None:
        """Load the network."""
        self.network = mc.network()

    def decode_request(self, request: dict[str, Any]) -> Tensor:
        """Read the row."""
        return torch.tensor(request["inputs"])

    def batch(self, inputs: list[Tensor]) -> Tensor:
        """Join rows into a batch."""
        return torch.cat(inputs)

    def predict(self, x: Tensor) -> dict[str, Any]:
        """Make the passes."""
        return mc.columns(mc.tiled(self.network, x, 100))

    def unbatch(self, output: dict[str, Any]) -> list[dict[str, Any]]:
        """Split a batch into rows."""
        return [mc.row(output, index) for index in range(len(output["mean"]))]

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Write the answer."""
        return output


if __name__ == "__main__":
    api = Uncertainty(max_batch_size=32, batch_timeout=0.001, api_path="/ask")
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(
        host="127.0.0.1", port=int(os.environ["PEER_PORT"]), generate_client_file=False, log_level="warning"
    )
