"""Rows with the service's answers to them, from which calibration rows and fresh rows are drawn."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.chance import CHANCE, chances
from caveat.models.answers.conformal import Sets
from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import ROWS, Input
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.models.tasks import tasks
from caveat.models.tasks.calibration import Calibration
from caveat.models.tasks.facts import CalibrationFacts
from caveat.models.tasks.task import TRUTH
from caveat.training.data.bundled import digits
from caveat.training.data.dataset import Dataset
from caveat.training.fits.temperature import most_likely_temperature
from caveat.training.options import Options
from caveat.training.train import train

SAMPLES = 100
SEED = 0
THINNED = (15, 80, 1021, 957, 298, 27)
"""Rows of each class of the imbalanced population, of which two thirds calibrate: about 10, 53, 681, 638, 199
and 18."""

TRAINED = 6_000
"""Training rows of a network on MNIST: the sets must hold for any network."""

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Population:
    """Answered rows of a classification.

    Parameters
    ----------
    name
        What the rows are.
    manifest
        Manifest of the model that answers.
    y, answers
        True classes of N rows, shape (N,), and the columns of the answers to them.
    calibration, fresh
        How many rows each division calibrates with, and on how many others it is measured.
    tempered
        Whether a temperature is fitted; the probabilities are the mean of the passes otherwise.
    """

    name: str
    manifest: Manifest
    y: NDArray[np.int64]
    answers: Columns
    calibration: int
    fresh: int
    tempered: bool = True

    def division(self, seed: int) -> tuple[Rows, Rows]:
        """Draw calibration rows and fresh rows."""
        rows = np.random.default_rng(seed).permutation(len(self.y))
        return rows[: self.calibration], rows[self.calibration : self.calibration + self.fresh]

    def of(self, rows: Rows) -> Columns:
        """Give the answers to some rows."""
        return {name: column[rows] for name, column in self.answers.items()}

    def temperature(self, rows: Rows) -> float:
        """Fit the temperature on calibration rows, as `calibrate` does."""
        return most_likely_temperature(self.answers["mean"][rows], self.y[rows]) if self.tempered else 1.0

    def calibrated(
        self, rows: Rows, temperature: float, sets: Sets = "lac", by_class: bool = False
    ) -> Calibration:
        """Calibrate on some rows, by the code that serves."""
        facts = CalibrationFacts(
            rows=len(rows), samples=SAMPLES, seed=SEED, temperature=temperature, sets=sets, by_class=by_class
        )
        manifest = self.manifest.model_copy(update={"calibration": facts})
        return tasks.of(manifest).calibration({TRUTH: self.y[rows], **self.of(rows)})


def populations(folder: Path) -> Iterator[Population]:
    """Make all populations, from scikit-learn's digits and from ``mnist.npz`` of the folder."""
    known = of_digits()
    yield known
    yield of_mnist(folder)
    yield replace(hard(folder), calibration=1_000, fresh=2_000)
    yield imbalanced(folder)
    yield tied(known)
    yield made("saturated: 1 and 0", np.eye(10, dtype=np.float32), known.manifest)
    least = np.where(np.eye(3), 1, 4e-18).astype(np.float32)
    yield made("saturated: 1, 4e-18, 4e-18", least, known.manifest)
    for rows in (20, 40):
        yield replace(known, name=f"digits, {rows} calibration rows", calibration=rows, fresh=400)


def of_digits() -> Population:
    """Train as `caveat train digits` does on half of the digits, and answer the other half."""
    dataset = digits()
    first, others = np.split(np.random.default_rng(SEED).permutation(len(dataset.y)), [898])
    manifest, answers = answered(part(dataset, first), dataset.x[others])
    return Population("digits", manifest, dataset.y[others], answers, 599, 300)


def of_mnist(folder: Path) -> Population:
    """Train on some of MNIST's training digits, and answer its test digits."""
    dataset, x, y = read(folder)
    rows = np.random.default_rng(SEED).permutation(len(dataset.y))[:TRAINED]
    manifest, answers = answered(part(dataset, rows), x, epochs=5)
    return Population("MNIST", manifest, y, answers, 1_000, 2_000)


def hard(folder: Path, trained: int = 200) -> Population:
    """Train on a few of MNIST's training digits, so that many answers to test digits are wrong."""
    dataset, x, y = read(folder)
    rows = np.random.default_rng(SEED).permutation(len(dataset.y))[:trained]
    manifest, answers = answered(part(dataset, rows), x, epochs=20)
    return Population(f"MNIST, {trained} training rows", manifest, y, answers, 4_000, 6_000)


def imbalanced(folder: Path) -> Population:
    """Train on the first classes of MNIST and answer test digits of them, with many or few rows of each."""
    dataset, x, y = read(folder)
    trained = thinned(dataset.y, [3 * rows for rows in THINNED])
    few = replace(
        dataset, classes=tuple(map(str, range(len(THINNED)))), x=dataset.x[trained], y=dataset.y[trained]
    )
    kept = thinned(y, THINNED)
    manifest, answers = answered(few, x[kept], epochs=5)
    return Population("MNIST, imbalanced", manifest, y[kept], answers, 1_599, 799)


def tied(known: Population) -> Population:
    """Round the probabilities of a population to one digit."""
    mean = known.answers["mean"].round(1)
    answers = {**known.answers, "mean": mean, "label": mean.argmax(axis=-1)}
    return replace(known, name="digits, rounded", answers=answers, tempered=False)


def made(name: str, probabilities: NDArray[np.float32], manifest: Manifest, rows: int = 3_000) -> Population:
    """Make rows that have the probabilities of their label, (classes, classes), and are right in 85 %."""
    random = np.random.default_rng(SEED)
    classes = len(probabilities)
    label = random.integers(0, classes, rows)
    right = random.random(len(label)) < 0.85
    y = np.where(right, label, (label + random.integers(1, classes, len(label))) % classes)
    answers: Columns = {
        "mean": probabilities[label],
        "label": label,
        "predictive_entropy": random.random(len(label)),
        CHANCE: random.random(len(label)),
    }
    stated = manifest.model_copy(
        update={"classes": tuple(map(str, range(classes))), "output": (ROWS, classes)}
    )
    return Population(name, stated, y, answers, 500, 1_000, tempered=False)


def read(folder: Path) -> tuple[Dataset, NDArray[np.float32], NDArray[np.int64]]:
    """Read the training rows of ``mnist.npz`` as a data set, and its test rows with their classes."""
    with np.load(folder / "mnist.npz") as file:
        x, y, test, truth = (file[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    dataset = Dataset(
        name="mnist",
        task="classification",
        input=Input(name="image", dtype="float32", shape=(ROWS, *x.shape[1:])),
        x=x.astype(np.float32),
        y=y.astype(np.int64),
        target="digit",
        classes=tuple(map(str, range(int(y.max()) + 1))),
    )
    return dataset, test.astype(np.float32), truth.astype(np.int64)


def thinned(y: NDArray[np.int64], rows: list[int] | tuple[int, ...]) -> Rows:
    """Choose so many rows of each of the first classes, or all that there are."""
    return np.concatenate([np.flatnonzero(y == code)[:count] for code, count in enumerate(rows)])


def part(dataset: Dataset, rows: Rows) -> Dataset:
    """Give some rows of a data set."""
    return replace(dataset, x=dataset.x[rows], y=dataset.y[rows])


def answered(dataset: Dataset, x: NDArray[np.float32], epochs: int = 200) -> tuple[Manifest, Columns]:
    """Train on a data set, and answer other rows."""
    bundle = train(dataset, Options(epochs=epochs, seed=SEED, name="benchmark"))
    inputs = {dataset.input.name: x}
    answers = estimate(Predictor(bundle, threads=1), inputs, SAMPLES, SEED)
    kept = {name: answers[name] for name in ("mean", "label", "predictive_entropy")}
    return bundle.manifest, {**kept, CHANCE: chances(inputs, SEED)}
