"""Small sound bundles to be mutated: with several inputs, integers, free sizes, calibrations.

Needs the training extra.
"""

import warnings

import numpy as np
import torch
from torch import Tensor, nn

from caveat.models.bundles import store
from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.features import Feature
from caveat.models.bundles.signature import Input
from caveat.models.bundles.store import BUNDLED
from caveat.training.calibrate import calibrate
from caveat.training.export.export import export

_WORDS = 50


class Tagger(nn.Module):
    """An LSTM over a text of any length; each word is an index into a table."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(_WORDS, 8)
        self.lstm = nn.LSTM(8, 8, num_layers=2, dropout=0.3, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, words: Tensor) -> Tensor:
        """Give logits."""
        steps, _ = self.lstm(self.table(words))
        logits: Tensor = self.head(steps.mean(1))
        return logits


class Two(nn.Module):
    """A signal of any length beside a few counts."""

    def __init__(self) -> None:
        super().__init__()
        self.signal = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(7, 2)

    def forward(self, signal: Tensor, counts: Tensor) -> Tensor:
        """Give logits."""
        together = torch.cat([self.signal(signal).mean(2), counts.float()], 1)
        logits: Tensor = self.head(together)
        return logits


def specimens() -> list[Bundle]:
    """Make the bundles; the first one is the bundle that ships."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [store.load(BUNDLED / "digits"), _values(), _words(), _two(), _image()]


def _values() -> Bundle:
    network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))
    features = (
        *(Feature(name="age"), Feature(name="dose", unit="mg")),
        *(Feature(name="smoker", categories=("no", "yes"), other=True), Feature(name="since", dates="iso")),
    )
    bundle = export(
        network,
        torch.rand(3, 4).round(),
        task="regression",
        outputs="mean",
        name="values",
        inputs=[Input(name="x", dtype="float32", shape=("rows", 4), features=features)],
        noise_variance=0.5,
    )
    random = np.random.default_rng(0)
    rows = random.integers(0, 2, (60, 4)).astype(np.float32)
    return calibrate(bundle, {"x": rows}, rows.sum(1) + random.normal(size=60), samples=20)


def _words() -> Bundle:
    return export(
        Tagger(),
        {"words": torch.randint(_WORDS, (3, 6))},
        task="classification",
        outputs="logits",
        name="words",
        free={"words": {1: "length"}},
    )


def _two() -> Bundle:
    return export(
        Two(),
        {"signal": torch.randn(3, 2, 9), "counts": torch.randint(9, (3, 3))},
        task="classification",
        outputs="logits",
        name="two",
        free={"signal": {2: "length"}},
    )


def _image() -> Bundle:
    """Make a bundle whose example is too long for the manifest, and stands in a file."""
    network = nn.Sequential(
        *(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Dropout2d(0.2), nn.Flatten()),
        nn.Linear(4 * 23 * 23, 3),
    )
    return export(network, torch.rand(2, 3, 48, 48), task="classification", outputs="logits", name="image")
