"""The dropout network of Srivastava et al. (JMLR 2014) on MNIST: data, recipes, training, bundle.

784-1024-1024-1024-10 with ReLU units, dropout 0.2 on the input and 0.5 on the hidden units, without use of
the order of pixels and without augmentation. The paper prints a test error of 1.25 %, and 1.06 % with
max-norm.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from tqdm import tqdm

from caveat.models.bundles.bundle import Bundle
from caveat.models.networks.mlp import MLP
from caveat.models.predictor import Predictor
from caveat.training.calibrate import calibrate
from caveat.training.export.export import export
from caveat.training.fit import seeded
from caveat.training.fits.temperature import most_likely_temperature

HELD_OUT = 12
"""Of how many training rows one is held out: the last 5,000 of MNIST's 60,000. They choose the recipe and fit
the temperature, nothing else."""

LENGTH = 9.2
"""Average Euclidean length of a digit of MNIST, with white as 1."""

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of a training run.

    Parameters
    ----------
    optimiser
        SGD with Nesterov's momentum of 0.9, or Adam.
    lr
        Largest step size: the step size rises over the first tenth of the steps, then falls to 0 along a
        cosine.
    max_norm
        Largest Euclidean norm of the weights into one unit, enforced after every step.
    weight_decay
        L2 penalty on weights and biases.
    unit_length
        Whether images are scaled to one length, so that bright images have no larger logits.
    epochs, batch_size
        Passes over the training rows, and rows per step.
    """

    optimiser: Literal["sgd", "adam"]
    lr: float
    max_norm: float | None = None
    weight_decay: float = 0.0
    unit_length: bool = False
    epochs: int = 60
    batch_size: int = 256


RECIPES = {
    "adam": Recipe("adam", 1e-3),
    "max-norm": Recipe("sgd", 0.1, max_norm=2.0),
    "decay 5e-4, unit length": Recipe("sgd", 0.1, weight_decay=5e-4, unit_length=True),
    "decay 1e-4, unit length": Recipe("sgd", 0.1, weight_decay=1e-4, unit_length=True),
    "10: max-norm": Recipe("sgd", 0.1, max_norm=2.0, epochs=10),
    "10: max-norm, unit length": Recipe("sgd", 0.1, max_norm=2.0, unit_length=True, epochs=10),
    "10: decay 5e-4, unit length": Recipe("sgd", 0.1, weight_decay=5e-4, unit_length=True, epochs=10),
    "10: max-norm 1.5, unit length": Recipe("sgd", 0.3, max_norm=1.5, unit_length=True, epochs=10),
}
"""All recipes that were tried, some of them for 10 epochs only; `mnist.py --tune` evaluates them."""

CHOSEN = "decay 1e-4, unit length"
"""The recipe with the lowest log loss on the held-out rows, calibrated, with one seed each."""


@dataclass(frozen=True)
class Part:
    """Images (B, H, W) of values from 0 to 255, and their labels (B,), from 0 on."""

    x: Images
    y: Labels


@dataclass(frozen=True)
class Digits:
    """MNIST, or a set of its form: training rows, rows held out from these, and test rows."""

    train: Part
    held_out: Part
    test: Part


def digits(folder: Path) -> Digits:
    """Read ``mnist.npz``."""
    with np.load(folder / "mnist.npz") as arrays:
        x, y = arrays["x_train"].astype(np.float32), arrays["y_train"].astype(np.int64)
        test = Part(arrays["x_test"].astype(np.float32), arrays["y_test"].astype(np.int64))
    first = len(y) - len(y) // HELD_OUT
    return Digits(Part(x[:first], y[:first]), Part(x[first:], y[first:]), test)


def letters(folder: Path) -> Images:
    """Read the images of ``notmnist.npz``, (B, H, W): letters A to J, none of them training rows."""
    with np.load(folder / "notmnist.npz") as arrays:
        images: Images = arrays["x_test"].astype(np.float32)
    return images


class Scale(nn.Module):
    """Scales values from 0 to 255 to at most 1, or images to the average length of a digit."""

    def __init__(self, unit_length: bool) -> None:
        super().__init__()
        self.unit_length = unit_length

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, H, W) to images of the same shape."""
        if not self.unit_length:
            return images / 255
        lengths = images.square().sum(dim=(1, 2), keepdim=True).sqrt()
        return images * (LENGTH / lengths.clamp(min=1.0))


def trained(train: Part, recipe: Recipe, seed: int, cache: Path) -> nn.Module:
    """Train a network by a recipe, or load it from the cache."""
    path = cache / f"{slug(recipe)}-{seed}.safetensors"
    with seeded(seed):
        classes = int(train.y.max()) + 1
        network = MLP(train.x.shape[1:], classes, hidden=(1024,) * 3, dropout=(0.2, 0.5, 0.5, 0.5))
        if path.exists():
            network.load_state_dict(load_file(path))
            return network.eval()
        rows = Scale(recipe.unit_length)(torch.from_numpy(train.x))
        fit(network, rows, torch.from_numpy(train.y), recipe)
    cache.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), path)
    return network


def slug(recipe: Recipe) -> str:
    """Give the file name of a recipe.

    >>> slug(Recipe("sgd", 0.1, max_norm=2.0))
    'sgd-0.1-max_norm2.0-60x256'
    """
    penalties = {"max_norm": recipe.max_norm, "decay": recipe.weight_decay, "unit": recipe.unit_length}
    named = [f"{name}{value}" for name, value in penalties.items() if value]
    sizes = f"{recipe.epochs}x{recipe.batch_size}"
    return "-".join([recipe.optimiser, f"{recipe.lr:g}", *named, sizes])


def fit(network: nn.Module, rows: Tensor, labels: Tensor, recipe: Recipe) -> None:
    """Train a network in place by cross-entropy, and leave it in eval mode with its last weights.

    Products are computed in bfloat16; weights and steps are in float32.
    """
    batches = -(-len(rows) // recipe.batch_size)
    optimiser = _optimiser(network, recipe)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.lr, total_steps=recipe.epochs * batches, pct_start=0.1, cycle_momentum=False
    )
    network.train()
    with tqdm(range(recipe.epochs), unit="epoch") as bar, patch.object(F, "dropout", quick_dropout):
        for _ in bar:
            total = 0.0
            for batch in torch.split(torch.randperm(len(rows)), recipe.batch_size):
                optimiser.zero_grad()
                with torch.autocast("cpu", torch.bfloat16):
                    logits = network(rows[batch])
                loss = F.cross_entropy(logits.float(), labels[batch])
                loss.backward()
                optimiser.step()
                schedule.step()
                if recipe.max_norm is not None:
                    constrain(network, recipe.max_norm)
                total += loss.item() * len(batch)
            bar.set_postfix({"loss": f"{total / len(rows):.4f}"})
    network.eval()


def _optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    weights = network.parameters()
    if recipe.optimiser == "adam":
        return torch.optim.Adam(weights, recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    decay = recipe.weight_decay
    return torch.optim.SGD(weights, recipe.lr, 0.9, weight_decay=decay, nesterov=True, fused=True)


def quick_dropout(x: Tensor, p: float, training: bool, _inplace: bool) -> Tensor:
    """Drop units as `F.dropout` does in training, with 16 random bits for each unit.

    PyTorch's masks are drawn on one core, and would take half of the training time.
    """
    if not training:
        return x
    count = x.numel()
    bits = torch.randint(-(2**63), 2**63 - 1, (-(-count // 4),)).view(torch.int16)[:count].view(x.shape)
    kept = bits >= round(p * 2**16) - 2**15
    return x * kept.to(x.dtype).mul_(1 / (1 - p))


@torch.no_grad()
def constrain(network: nn.Module, max_norm: float) -> None:
    """Scale the weights into each unit down to a norm of at most ``max_norm``."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.renorm_(p=2, dim=0, maxnorm=max_norm)


@dataclass(frozen=True)
class Served:
    """A trained network, calibrated on the held-out rows.

    Parameters
    ----------
    predictor
        Predictor of the bundle, as in the service.
    of_once
        Temperature of the pass without dropout that makes the held-out labels most likely.
    """

    predictor: Predictor
    of_once: float

    @property
    def of_mean(self) -> float:
        """The temperature of the mean over passes."""
        assert self.predictor.calibration is not None
        return self.predictor.calibration.facts.temperature or 1.0


def serve(data: Digits, recipe: Recipe, seed: int, cache: Path, samples: int) -> Served:
    """Train a network or load it from the cache; export and calibrate it."""
    network = trained(data.train, recipe, seed, cache)
    rows, y = {"x": data.held_out.x}, data.held_out.y
    predictor = Predictor(calibrate(bundle(network, recipe, data.train.x[:8]), rows, y, samples))
    return Served(predictor, most_likely_temperature(predictor.predict(rows), y))


def bundle(network: nn.Module, recipe: Recipe, example: Images) -> Bundle:
    """Export a trained network; it takes values from 0 to 255."""
    return export(
        network,
        example,
        task="classification",
        outputs="logits",
        name="mnist",
        preprocess=Scale(recipe.unit_length),
    )
