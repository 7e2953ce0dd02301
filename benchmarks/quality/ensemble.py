"""Monte Carlo dropout compared with an ensemble of five networks, and with one pass without dropout.

Five networks of one architecture are trained with dropout from five seeds. The ensemble is the mean of their
probabilities, or the mixture of their normal distributions, with one pass of each network, without dropout
(Lakshminarayanan, Pritzel & Blundell, "Simple and scalable predictive uncertainty estimation using deep
ensembles", NeurIPS 2017). Monte Carlo dropout is 100 passes of the first network, in PyTorch; the single
pass is of the first network too.

The digits use the recipe of `caveat train digits`, and each method has the temperature that makes validation
rows most likely. The UCI sets use the recipe of `uci.py`, trained on four fifths of each split's training
rows; on the other fifth, each method's factor on the predicted noise is fitted. The dropout rates are the
best for Monte Carlo dropout on that fifth of the first split. The log-likelihood is that of the mixture, in
nats per row. Figures are means over splits, with standard errors. Needs the training extra.
"""

import argparse
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from measures import quality, separation
from numpy.typing import NDArray
from torch import nn
from uci import VALIDATION, Array, cell, choose, moments, rmse, sample
from uci import trained as trained_on_values
from values import Values, read

from caveat.models.answers.tempering import tempered
from caveat.models.networks.mlp import MLP
from caveat.models.tasks.classification import Classification
from caveat.training.data.bundled import digits
from caveat.training.data.dataset import Dataset, Part, split
from caveat.training.fit import fit, seeded
from caveat.training.fits.mixture import likeliest, log_density, log_likelihoods
from caveat.training.fits.temperature import most_likely_temperature
from caveat.training.measures.classes import deterministic_scores
from caveat.training.objectives.classes import classification
from caveat.training.preprocessing.preprocess import preprocess
from caveat.training.recipe import Recipe

RESULTS = Path(__file__).parents[1] / "results" / "ensemble.json"
SETS = ("yacht", "energy", "boston")
"""UCI sets that are measured unless the command line names others."""

MEMBERS = 5
PASSES = 100
ONCE, MONTE_CARLO, ENSEMBLE = METHODS = ("one pass", f"{PASSES} passes", f"{MEMBERS} networks")

Figures = Mapping[str, Mapping[str, float]]
"""Figures by method and measure."""


def main() -> None:
    """Measure, print tables, and write them as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of regression sets, <name>.npz")
    parser.add_argument("sets", nargs="*", default=SETS, help=f"sets to measure (default: {', '.join(SETS)})")
    parser.add_argument("--splits", type=int, default=10, help="splits of each set, at most (default: 10)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    dataset = digits()
    figures = {"digits": [classes(dataset, seed) for seed in range(options.splits)]}
    print(table("digits", figures["digits"]), flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    for name in options.sets:
        figures[name] = values(read(options.data, name), options.splits)
        print(table(name, figures[name]), flush=True)
        RESULTS.write_text(json.dumps(figures, indent=1) + "\n")


def classes(dataset: Dataset, seed: int) -> Figures:
    """Evaluate every method on the test rows of one split of the digits."""
    parts = split(dataset, 0.2, seed)
    networks = [
        trained_on_classes(dataset, parts.train, parts.validation, member) for member in members(seed)
    ]
    known, asked = (probabilities(networks, part.x, seed) for part in (parts.validation, parts.test))
    found = {}
    for method in METHODS:
        temperature = most_likely_temperature(known[method], parts.validation.y)
        calibrated = tempered(asked[method], temperature)
        wrong = calibrated.argmax(axis=-1) != parts.test.y
        uncertainty = deterministic_scores(calibrated)["predictive_entropy"]
        found[method] = {
            **quality(calibrated, parts.test.y),
            "auroc": separation(uncertainty[~wrong], uncertainty[wrong])["auroc"] if wrong.any() else np.nan,
        }
    return found


def members(split: int) -> range:
    """Give the seeds of the networks of a split; no two splits share one."""
    return range(MEMBERS * split, MEMBERS * (split + 1))


def trained_on_classes(dataset: Dataset, train: Part, validation: Part, seed: int) -> nn.Module:
    """Train as `caveat train digits` does; give a module from raw rows to probabilities."""
    standardise = preprocess(dataset.input, train.x, sequences=False)
    train, validation = (
        Part(standardise(torch.from_numpy(part.x)).numpy(), part.y) for part in (train, validation)
    )
    aim = classification(len(dataset.classes or ()))
    defaults = Classification.training
    recipe = Recipe(200, 32, defaults.lr, defaults.patience, l2=5e-5)
    with seeded(seed):
        network = MLP(train.x.shape[1:], aim.width, hidden=(128,), dropout=(0.5,))
        fit(network, train, validation, aim, recipe)
    return nn.Sequential(OrderedDict(preprocess=standardise, network=network, answer=aim.answer))


@torch.no_grad()
def probabilities(networks: Sequence[nn.Module], x: NDArray[np.float32], seed: int) -> dict[str, Array]:
    """Answer rows with every method, shape (B, C)."""
    rows = torch.from_numpy(x)
    once = np.stack([network.eval()(rows).numpy() for network in networks]).astype(np.float64)
    first = networks[0].train()
    with seeded(seed):
        passes = torch.stack([first(rows) for _ in range(PASSES)]).double().mean(dim=0).numpy()
    return {ONCE: once[0], MONTE_CARLO: passes, ENSEMBLE: once.mean(axis=0)}


def values(known: Values, splits: int) -> list[Figures]:
    """Evaluate every method on the test rows of the splits of a regression set."""
    first = known.train[0]
    rates = choose(known.x[first], known.y[first], 0)[0].rates
    return [
        of_split(known.x, known.y, known.train[number], known.test[number], rates, number)
        for number in known.splits[:splits]
    ]


def of_split(
    x: Array, y: Array, rows: NDArray[np.intp], test: NDArray[np.intp], rates: Sequence[float], number: int
) -> Figures:
    """Train on four fifths of the rows, fit the noise on the others, and evaluate on test rows."""
    shuffled = np.random.default_rng(number).permutation(rows)
    validation, train = np.split(shuffled, [round(VALIDATION * len(rows))])
    networks = [trained_on_values(x[train], y[train], rates, member)[0] for member in members(number)]
    known, asked = (normals(networks, x[part], number) for part in (validation, test))
    found = {}
    for method in METHODS:
        factor = likeliest(log_likelihoods(*known[method], y[validation]))
        means, variances = asked[method]
        found[method] = {
            "rmse": rmse(means.mean(axis=0), y[test]),
            "log_likelihood": float(log_density(means, variances * factor, y[test]).mean()),
        }
    return found


@torch.no_grad()
def normals(networks: Sequence[nn.Module], x: Array, seed: int) -> dict[str, tuple[Array, Array]]:
    """Answer rows with every method: means and variances of its passes or networks, each (parts, B)."""
    once = np.stack([network.eval()(torch.from_numpy(x)).numpy() for network in networks])
    means, variances = once[..., 0], np.exp(once[..., 1])
    return {
        ONCE: (means[:1], variances[:1]),
        MONTE_CARLO: sample(networks[0], x, PASSES, seed),
        ENSEMBLE: (means, variances),
    }


def table(name: str, figures: Sequence[Figures]) -> str:
    """Write the mean over splits with its standard error; a split without a wrong label has no AUROC."""
    names = list(figures[0][ONCE])
    lines = [f"{f'{name}, splits: {len(figures)}':24}" + "".join(f"{measure:>20}" for measure in names)]
    for method in METHODS:
        cells = []
        for measure in names:
            known = [each[method] for each in figures if not np.isnan(each[method][measure])]
            cells.append(cell(*moments(known, measure)))
        lines.append(f"  {method:22}" + "".join(f"{cell:>20}" for cell in cells))
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
