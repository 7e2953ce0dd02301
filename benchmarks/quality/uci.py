"""Errors and log-likelihoods of regressions on UCI sets, or any others with splits.

Over the 20 splits of Hernandez-Lobato & Adams (ICML 2015), compared with the dropout networks that Gal &
Ghahramani tuned for each split (10,000 passes), if the folder has their figures. Each split is measured by
itself: a fifth of its training rows decides the dropout rates, among `RATES`, and the factor on the predicted
noise. Then the network is trained on all training rows, exported, and run on the test rows, which decide
nothing.

All other hyperparameters are the same for every set. They were found on such validation rows of the first
ten splits of six sets, among 50,50, 100,100, 128 and 128,128 units, ReLU and SiLU, step sizes of 0.003 and
0.01, L2 penalties from 0 to 0.01 and decays from 0.001 to 1, beta of 0, 0.5 and 1, other rates from 0.005 to
0.2, and 1,000 to 20,000 steps.

Log-likelihoods are in nats per row, in the target's units. They are given for the mixture of the normal
distributions of all passes, as Gal & Ghahramani score it; for one normal distribution with the answer's mean
and variance, as deep ensembles are scored; and for a normal distribution around the answer without dropout,
whose variance is the mean square of the residuals on validation rows.
"""

import argparse
import json
import math
import multiprocessing
import os
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from values import names, read

from caveat.models.bundles.signature import ROWS, Input
from caveat.models.estimates.answer import estimate
from caveat.models.networks.mlp import MLP
from caveat.models.predictor import Predictor
from caveat.training.data.dataset import Part
from caveat.training.export.export import export
from caveat.training.fit import fit, seeded
from caveat.training.fits.mixture import likeliest, log_density, log_likelihoods
from caveat.training.objectives.objective import Objective
from caveat.training.objectives.values import UnscaleNormal, regression
from caveat.training.preprocessing.preprocess import preprocess
from caveat.training.recipe import Recipe

RESULTS = Path(__file__).parents[1] / "results" / "uci.json"
CLEARLY = ("energy", "yacht")
"""Sets whose log-likelihood must exceed the reference by two standard errors."""

RATES = ((0.0, 0.005), (0.0, 0.02), (0.02, 0.05), (0.02, 0.2))
"""Dropout rates, of the input and of both hidden layers, of which the best on validation rows is chosen."""

HIDDEN = (128, 128)
STEPS = 4000
LR, L2 = 1e-2, 5e-5
VALIDATION = 0.2

PRINTED = {  # RMSE and log-likelihood
    "Gal & Ghahramani 2016": {
        "boston": (2.97, -2.46),
        "concrete": (5.23, -3.04),
        "energy": (1.66, -1.99),
        "kin8nm": (0.10, 0.95),
        "power_plant": (4.02, -2.80),
        "yacht": (1.11, -1.55),
    },
    "deep ensembles 2017": {
        "boston": (3.28, -2.41),
        "concrete": (6.03, -3.06),
        "energy": (2.09, -1.38),
        "kin8nm": (0.09, 1.20),
        "power_plant": (4.11, -2.79),
        "yacht": (1.58, -1.18),
    },
}

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trained:
    """The rates of a trained network, and its results on validation rows."""

    rates: tuple[float, float]
    factor: float
    log_likelihood: float
    residual: float


def main() -> int:
    """Measure, print a table, and return 0 if every bar was met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of sets, <name>.npz, and maybe of reference.json")
    parser.add_argument("sets", nargs="*", help="sets to measure (default: all)")
    parser.add_argument("--splits", type=int, default=20, help="splits of each set, at most (default: 20)")
    parser.add_argument("--passes", type=int, default=100, help="passes behind an answer (default: 100)")
    parser.add_argument("--jobs", type=int, default=2, help="splits measured at once (default: 2)")
    options = parser.parse_args()
    reference = references(options.data)
    RESULTS.parent.mkdir(exist_ok=True)
    figures = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    met = True
    os.environ["TQDM_DISABLE"] = "1"  # progress bars of several processes would mix
    # Spawned, since torch's threads do not survive a fork.
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        for name in options.sets or names(options.data):
            splits = read(options.data, name).splits[: options.splits]
            asked = [(options.data / f"{name}.npz", number, options.passes) for number in splits]
            figures[name] = pool.starmap(measure, asked, chunksize=1)
            RESULTS.write_text(json.dumps(figures, indent=1) + "\n")
            print(table(name, figures[name], reference.get(name)), flush=True)
            met &= all(bars(name, figures[name], reference.get(name)).values())
    return 0 if met else 1


def references(folder: Path) -> dict[str, Any]:
    """Read what others measured, by the name of the set; nothing if the folder does not say."""
    path = folder / "reference.json"
    return json.loads(path.read_text()) if path.exists() else {}


def measure(path: Path, number: int, passes: int) -> dict[str, Any]:
    """Choose the rates, train and evaluate for one split."""
    torch.set_num_threads(1)
    values = read(path.parent, path.stem)
    x, y, rows, test = values.x, values.y, values.train[number], values.test[number]
    chosen, tried = choose(x[rows], y[rows], number)
    network, aim = trained(x[rows], y[rows], chosen.rates, number)
    assert isinstance(aim.answer, UnscaleNormal)
    aim.answer.scale_noise(chosen.factor)
    bundle = export(network, x[rows[:5]], task="regression", outputs=aim.outputs, name="benchmark")
    return {
        "split": number,
        "rates": chosen.rates,
        "factor": chosen.factor,
        "validation": tried,
        **score(Predictor(bundle, threads=1), x[test], y[test], passes, chosen.residual),
    }


def choose(x: Array, y: Array, seed: int) -> tuple[Trained, list[float]]:
    """Choose the rates that make validation rows most likely; give also the log-likelihood of each."""
    rows = np.random.default_rng(seed).permutation(len(y))
    validation, train = np.split(rows, [round(VALIDATION * len(y))])
    found = []
    for rates in RATES:
        network, _ = trained(x[train], y[train], rates, seed)
        means, variances = sample(network, x[validation], passes=100, seed=seed)
        factor = float(likeliest(log_likelihoods(means, variances, y[validation])))
        likelihood = log_density(means, variances * factor, y[validation]).mean()
        with torch.no_grad():
            deterministic = network.eval()(torch.from_numpy(x[validation])).numpy()[:, 0]
        residual = float(np.mean((deterministic - y[validation]) ** 2))
        found.append(Trained(rates, factor, float(likelihood), residual))
    return max(found, key=lambda each: each.log_likelihood), [each.log_likelihood for each in found]


def trained(x: Array, y: Array, rates: Sequence[float], seed: int) -> tuple[nn.Module, Objective]:
    """Train on the given rows; give a module from raw rows to answers, and its objective."""
    standardise = preprocess(Input(name="x", dtype="float64", shape=(ROWS, x.shape[1])), x)
    aim = regression(y, "predicted")
    batch_size = 64 if len(y) < 2000 else 128
    epochs = round(STEPS / math.ceil(len(y) / batch_size))
    recipe = Recipe(epochs, batch_size, LR, patience=None, annealed=True, l2=L2)
    with seeded(seed):
        network = MLP((x.shape[1],), aim.width, HIDDEN, (rates[0], *[rates[1]] * len(HIDDEN)))
        fit(network, Part(standardise(torch.from_numpy(x)).numpy(), y), None, aim, recipe)
    return nn.Sequential(OrderedDict(preprocess=standardise, network=network, answer=aim.answer)), aim


@torch.no_grad()
def sample(network: nn.Module, x: Array, passes: int, seed: int) -> tuple[Array, Array]:
    """Give means and variances of passes, (passes, rows)."""
    network.train()
    with seeded(seed):
        made = torch.stack([network(torch.from_numpy(x)) for _ in range(passes)]).numpy()
    return made[..., 0], np.exp(made[..., 1])


def score(predictor: Predictor, x: Array, y: Array, passes: int, residual: float) -> dict[str, float]:
    """Evaluate a bundle on test rows."""
    answer = estimate(predictor, {"x": x}, passes, seed=0)
    made = np.concatenate(list(predictor.passes({"x": x}, passes, 0, "stratified")))
    one = (answer["mean"][None], answer["variance"][None])
    deterministic = predictor.predict({"x": x}).astype(np.float64)
    return {
        "rmse": rmse(answer["mean"], y),
        "mixture": float(log_density(made[..., 0], made[..., 1], y).mean()),
        "normal": float(log_density(*one, y).mean()),
        "deterministic_rmse": rmse(deterministic, y),
        "deterministic": float(log_density(deterministic[None], np.full((1, 1), residual), y).mean()),
    }


def rmse(predicted: Array, y: Array) -> float:
    """Compute the root mean square error."""
    return float(np.sqrt(np.mean((predicted - y) ** 2)))


def bars(name: str, figures: list[dict[str, Any]], reference: dict[str, Any] | None) -> dict[str, bool]:
    """Compare with the reference: log-likelihood above it, RMSE at most a standard error above it."""
    if reference is None:
        return {}
    likelihood, error = moments(figures, "mixture")
    least = reference["test_ll"]["mean"]
    margin = 2 * math.hypot(error, reference["test_ll"]["standard_error"]) if name in CLEARLY else 0.0
    most = reference["test_MC_rmse"]["mean"] + reference["test_MC_rmse"]["standard_error"]
    return {
        "log-likelihood": likelihood > least + margin,
        "RMSE": moments(figures, "rmse")[0] <= most,
    }


def moments(figures: Sequence[Mapping[str, Any]], metric: str) -> tuple[float, float]:
    """Give the mean over splits, and its standard error, which a single split leaves unknown (NaN)."""
    values = [each[metric] for each in figures]
    error = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(np.mean(values)) if values else math.nan, float(error)


def cell(mean: float, error: float) -> str:
    """Write a mean with its standard error, if it is known.

    >>> cell(1.5, 0.25), cell(1.5, math.nan)
    ('   1.5000 ±0.2500', '   1.5000        ')
    """
    return f"{mean:>9.4f} " + ("" if math.isnan(error) else f"±{error:.4f}").ljust(7)


def table(name: str, figures: list[dict[str, Any]], reference: dict[str, Any] | None) -> str:
    """Write the figures of a set as a table, with the published ones where there are any."""

    def measured(metric: str) -> str:
        return cell(*moments(figures, metric))

    splits = f"{len(figures)} split{'s' if len(figures) > 1 else ''}"
    lines = [
        f"{name}, {splits}{'RMSE':>31}{'log-likelihood':>24}",
        f"  {'Caveat, mixture of its passes':<32}{measured('rmse')}{measured('mixture'):>20}",
        f"  {'Caveat, one normal':<32}{'':>17}{measured('normal'):>20}",
        f"  {'Caveat, without dropout':<32}{measured('deterministic_rmse')}{measured('deterministic'):>20}",
    ]
    if reference is not None:
        error, likelihood = (
            cell(reference[metric]["mean"], reference[metric]["standard_error"])
            for metric in ("test_MC_rmse", "test_ll")
        )
        lines.append(f"  {'reference (tuned MC dropout)':<32}{error}{likelihood:>20}")
    for source, printed in PRINTED.items():
        if name in printed:
            error, likelihood = (f"{value:.2f}" for value in printed[name])
            lines.append(f"  {source + ', as printed':<32}{error:>9}{likelihood:>20}")
    results = bars(name, figures, reference).items()
    lines.append("  " + ", ".join(f"{bar}: {'met' if met else 'MISSED'}" for bar, met in results))
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
