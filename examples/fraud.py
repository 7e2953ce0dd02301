"""A text classifier with dropout: ``python examples/fraud.py`` trains it on made-up orders, into ./build.

An order is twelve words, each a number below 1,000. About 30 % of the orders are frauds. In a fraud each
word is below 50 with a chance of 40 %, in another order with a chance of 2 %.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

BUILD = Path("build")

Rows = dict[str, NDArray[Any]]
"""``tokens`` (B, length), and ``y`` (B,): 1 for a fraud, 0 for any other order."""


class Net(nn.Module):
    """A GRU over words, with dropout between its layers and before its last one."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.embed = nn.Embedding(1000, width)
        self.rnn = nn.GRU(width, width, num_layers=2, dropout=0.3, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(width, 2))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map words (B, length) to logits (B, 2)."""
        states, _ = self.rnn(self.embed(tokens))
        return self.head(states.mean(1))


def orders(count: int, random: np.random.Generator, length: int = 12) -> Rows:
    """Make orders up."""
    fraud = random.random(count) < 0.3
    low = random.random((count, length)) < np.where(fraud, 0.4, 0.02)[:, None]
    shape = (count, length)
    tokens = np.where(low, random.integers(0, 50, shape), random.integers(50, 1000, shape))
    return {"tokens": tokens, "y": fraud.astype(np.int64)}


def train(net: Net, rows: Rows, epochs: int = 5) -> None:
    """Train as any network is trained; nothing here is Caveat's."""
    tokens, y = (torch.from_numpy(rows[name]) for name in ("tokens", "y"))
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(y)).split(64):
            loss = nn.functional.cross_entropy(net(tokens[batch]), y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def main() -> None:
    """Write the weights, a few rows to trace, and rows to calibrate and to evaluate on."""
    torch.set_num_threads(1)  # batches are small, and with one thread no sum depends on the cores
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    net = Net()
    train(net, orders(2000, random))
    BUILD.mkdir(exist_ok=True)
    torch.save(net.state_dict(), BUILD / "fraud.pt")
    np.savez(BUILD / "example.npz", tokens=orders(5, random)["tokens"])
    np.savez(BUILD / "held_out.npz", **orders(1000, random))
    np.savez(BUILD / "test.npz", **orders(1000, random))


if __name__ == "__main__":
    main()
