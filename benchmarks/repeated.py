"""Monte Carlo dropout in PyTorch, as its users write it: a loop over the passes, or rows that are repeated.

It needs PyTorch alone, so that a server that Caveat is compared with can run the same passes.
"""

import time

import torch
from torch import Tensor, nn

CHUNKS = (100, 50, 25, 10, 5, 2)
"""Passes that one forward may hold."""

_TRIAL_SECONDS = 0.05
"""Time for which a number of passes is tried."""


def with_dropout(network: nn.Module) -> nn.Module:
    """Turn a network's dropout on, and keep its batch norms in eval mode."""
    network.train()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            part.eval()
    return network


@torch.inference_mode()
def looped(network: nn.Module, x: Tensor, samples: int) -> Tensor:
    """Run one pass after the other; (samples, rows, classes)."""
    return torch.stack([network(x).softmax(-1) for _ in range(samples)])


@torch.inference_mode()
def tiled(network: nn.Module, x: Tensor, samples: int, chunk: int) -> Tensor:
    """Repeat the rows, so that one forward makes ``chunk`` passes; (samples, rows, classes)."""
    passes = []
    for start in range(0, samples, chunk):
        count = min(chunk, samples - start)
        repeated = x.expand(count, *x.shape).flatten(0, 1)
        passes.append(network(repeated).softmax(-1).unflatten(0, (count, len(x))))
    return torch.cat(passes)


@torch.inference_mode()
def moments(passes: Tensor) -> tuple[Tensor, Tensor]:
    """Give mean and variance over the passes."""
    return passes.mean(0), passes.var(0)


def fastest_chunk(network: nn.Module, x: Tensor, samples: int, most: int) -> int:
    """Find how many passes to run in one forward of at most ``most`` rows, by the CPU time of a pass."""
    chunks = [chunk for chunk in CHUNKS if chunk <= samples and chunk * len(x) <= most] or [CHUNKS[-1]]
    if len(chunks) == 1:
        return chunks[0]
    costs = {}
    for chunk in chunks:
        end = time.perf_counter() + _TRIAL_SECONDS
        costs[chunk] = _pass_seconds(network, x, chunk)
        while time.perf_counter() < end:
            costs[chunk] = min(costs[chunk], _pass_seconds(network, x, chunk))
    return min(costs, key=costs.__getitem__)


def _pass_seconds(network: nn.Module, x: Tensor, chunk: int) -> float:
    start = time.process_time()
    tiled(network, x, chunk, chunk)
    return (time.process_time() - start) / chunk
