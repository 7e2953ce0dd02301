"""MLServer, a custom runtime with its adaptive batching; the passes are tiled into one batch."""

import mc
import torch
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Uncertainty(MLModel):  # type: ignore[misc]  # MLServer is not installed here
    """Answers requests of one row in the V2 inference protocol."""

    async def load(self) -> bool:
        """Load the network."""
        self.network = mc.network()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer rows."""
        x = torch.from_numpy(NumpyCodec.decode_input(payload.inputs[0]))
        answers = mc.columns(mc.tiled(self.network, x.float().clone(), 100))
        outputs = [
            NumpyCodec.encode_output(name, torch.tensor(column).numpy()) for name, column in answers.items()
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
