"""FastAPI, a pydantic body, and PyTorch with its passes tiled, for the encoder of ``networks.py``.

``PEER_WEIGHTS`` names the weights, and ``PEER_CHUNK`` says how many passes to run in one forward.
"""

import os
from typing import Any

import mc
import torch
from fastapi import FastAPI
from networks import Encoder
from pydantic import BaseModel
from repeated import tiled, with_dropout

app = FastAPI()
network = Encoder()
network.load_state_dict(torch.load(os.environ["PEER_WEIGHTS"], weights_only=True))
with_dropout(network)
chunk = int(os.environ["PEER_CHUNK"])


class Body(BaseModel):
    """A request."""

    inputs: list[list[int]]
    samples: int = 100


@app.post("/ask")
def ask(body: Body) -> dict[str, Any]:
    """Answer a request."""
    return mc.columns(tiled(network, torch.tensor(body.inputs), body.samples, chunk))
