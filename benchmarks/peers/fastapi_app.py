"""The tutorial: FastAPI, a pydantic body, and PyTorch. ``PEER_PASSES`` is ``looped`` or ``tiled``."""

import os
from typing import Any

import mc
import torch
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
network = mc.network()
passes = {"looped": mc.looped, "tiled": mc.tiled}[os.environ.get("PEER_PASSES", "looped")]


class Body(BaseModel):
    """A request."""

    inputs: list[list[float]]
    samples: int = 100


@app.post("/ask")
def ask(body: Body) -> dict[str, Any]:
    """Answer a request."""
    return mc.columns(passes(network, torch.tensor(body.inputs), body.samples))
