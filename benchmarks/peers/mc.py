"""Monte Carlo dropout as its users write it today, for the servers that Caveat is compared with.

``PEER_WEIGHTS`` names the weights and ``PEER_WIDTHS`` the layers, such as 784,128,10.
"""

import os
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

torch.set_num_threads(int(os.environ.get("PEER_THREADS", "0")) or torch.get_num_threads())


def network() -> nn.Sequential:
    """Make the network and load its weights."""
    widths = [int(width) for width in os.environ["PEER_WIDTHS"].split(",")]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(0.5)]
    made = nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))
    made.load_state_dict(torch.load(os.environ["PEER_WEIGHTS"], weights_only=True))
    return made.train()  # dropout stays on


@torch.inference_mode()
def looped(made: nn.Module, x: Tensor, samples: int) -> Tensor:
    """Run one pass after the other, as the tutorials do; (samples, rows, classes)."""
    return torch.stack([made(x).softmax(-1) for _ in range(samples)])


@torch.inference_mode()
def tiled(made: nn.Module, x: Tensor, samples: int) -> Tensor:
    """Run all passes as one batch of repeated rows; (samples, rows, classes)."""
    passes: Tensor = made(x.repeat(samples, 1)).softmax(-1).unflatten(0, (samples, len(x)))
    return passes


@torch.inference_mode()
def columns(passes: Tensor) -> dict[str, Any]:
    """Summarise passes as the fields of Caveat's answers."""
    mean, variance = passes.mean(0), passes.var(0)
    predictive = -(mean * (mean + 1e-30).log()).sum(-1)
    expected = -(passes * (passes + 1e-30).log()).sum(-1).mean(0)
    return {
        "label": mean.argmax(-1).tolist(),
        "mean": mean.tolist(),
        "variance": variance.tolist(),
        "standard_error": (variance / len(passes)).sqrt().tolist(),
        "predictive_entropy": predictive.tolist(),
        "expected_entropy": expected.tolist(),
        "mutual_information": (predictive - expected).tolist(),
    }


def row(answers: dict[str, Any], index: int) -> dict[str, Any]:
    """Take one row out of a batch's columns."""
    return {name: column[index : index + 1] for name, column in answers.items()}
