"""Networks that several benchmarks measure, with random weights from a fixed seed.

It needs PyTorch alone, so that a server that Caveat is compared with can make the same network.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

TOKENS = 256
"""Words that the encoder knows: the bytes of a text."""


@dataclass(frozen=True)
class Kind:
    """A network to measure.

    Parameters
    ----------
    title
        Name in tables and plots.
    make
        Makes the network.
    rows
        Makes as many random rows as it is asked for.
    """

    title: str
    make: Callable[[], nn.Module]
    rows: Callable[[int], Tensor]


def made(name: str) -> nn.Module:
    """Make one of the `KINDS`; the same weights each time."""
    torch.manual_seed(0)
    kind = KINDS[name]
    network = kind.make()
    if any(isinstance(part, nn.BatchNorm2d) for part in network.modules()):
        settle(network, kind.rows(8))
    return network


def settle(network: nn.Module, example: Tensor) -> None:
    """Run some rows through the batch norms, so that the network's features neither vanish nor explode."""
    with torch.no_grad():
        for _ in range(10):
            network.train()(example)


def mlp(widths: tuple[int, ...], rate: float) -> nn.Module:
    """Make linear layers with ReLU and dropout between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(rate)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


class Block(nn.Module):
    """A residual block of two convolutions with batch norms, as in ResNet-18."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        y = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(self.shortcut(x) + self.second_norm(self.second(y)))


def resnet(classes: int = 1000) -> nn.Module:
    """Make a ResNet-18 with one dropout before its last layer."""
    widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
    blocks = [Block(a, b, 2 if b > a else 1) for a, b in pairwise(widths)]
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(512, classes),
    )


class WideBlock(nn.Module):
    """A block of a wide ResNet: norms before the two convolutions, and dropout between these."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first_norm = nn.BatchNorm2d(inputs)
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(0.3)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        y = self.first(torch.relu(self.first_norm(x)))
        y = self.second(self.dropout(torch.relu(self.second_norm(y))))
        summed: Tensor = self.shortcut(x) + y
        return summed


def wide_resnet(widen: int = 2, blocks: int = 2) -> nn.Module:
    """Make a wide ResNet (Zagoruyko & Komodakis, 2016) of three groups, 16-2 by default."""
    widths = [16, *(width * widen for width in (16, 32, 64) for _ in range(blocks))]
    strides = [2 if group and not block else 1 for group in range(3) for block in range(blocks)]
    groups = [WideBlock(a, b, stride) for (a, b), stride in zip(pairwise(widths), strides, strict=True)]
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        *groups,
        nn.BatchNorm2d(widths[-1]),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(widths[-1], 10),
    )


class Lstm(nn.Module):
    """An LSTM with dropout between its two layers and before its head, which sees the last step."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(16, 256, num_layers=2, dropout=0.3, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(256, 10))

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences (B, steps, 16) to logits (B, 10)."""
        states, _ = self.rnn(x)
        logits: Tensor = self.head(states[:, -1])
        return logits


class Encoder(nn.Module):
    """A Transformer's encoder of 28 million weights, with dropout of 0.1 everywhere."""

    def __init__(self, width: int = 768, layers: int = 4, length: int = 128) -> None:
        super().__init__()
        self.words = nn.Embedding(TOKENS, width)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.dropout = nn.Dropout(0.1)
        layer = nn.TransformerEncoderLayer(width, width // 64, 4 * width, dropout=0.1, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        for weights in self.layers.parameters():  # the layers begin as copies of one
            if weights.ndim > 1:
                nn.init.xavier_uniform_(weights)
        self.head = nn.Linear(width, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, length) to logits (B, 10)."""
        states = self.layers(self.dropout(self.words(tokens) + self.places))
        logits: Tensor = self.head(states.mean(1))
        return logits


KINDS = {
    "mlp": Kind("784-128-10", lambda: mlp((784, 128, 10), 0.2), lambda count: torch.rand(count, 784)),
    "mlp-wide": Kind(
        "784-1024-1024-10", lambda: mlp((784, 1024, 1024, 10), 0.5), lambda count: torch.rand(count, 784)
    ),
    "wrn": Kind("WRN-16-2, 32x32", wide_resnet, lambda count: torch.rand(count, 3, 32, 32)),
    "resnet18": Kind("ResNet-18, 64x64", lambda: resnet(200), lambda count: torch.rand(count, 3, 64, 64)),
    "lstm": Kind("LSTM 2 x 256, 64 steps", Lstm, lambda count: torch.rand(count, 64, 16)),
    "encoder": Kind("encoder, 128 tokens", Encoder, lambda count: torch.randint(TOKENS, (count, 128))),
}
