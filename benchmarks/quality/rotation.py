"""Accuracy and uncertainty on digits rotated by 0 to 180 degrees.

Runs Monte Carlo passes of the bundle of `mnist.py` over test digits rotated anticlockwise, and for comparison
the pass without dropout, with its own temperature. The confidence of a good network would fall as fast as
its accuracy. Past 90 degrees some digits are digits again: 0, 1 and 8 look the same upside down, and 6 and 9
look like each other.

Prediction sets have a coverage of 90 %. The calibration rows are upright, so that the coverage of rotated
digits is not guaranteed; the measured coverage shows how far it holds. A set always holds the label, so what
says that no class fits is the label's credibility: for rows like those of the calibration, that of the truth
is below 0.1 in at most 10 % of cases. Needs the training extra.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from network import CHOSEN, RECIPES, Images, Part, Served, digits, serve
from scipy.ndimage import rotate

from caveat.models.answers.tempering import tempered
from caveat.models.answers.uncertainty import entropy
from caveat.models.estimates.answer import estimate
from caveat.training.measures.classes import scaled

RESULTS = Path(__file__).parents[1] / "results"
ANGLES = range(0, 181, 10)
COVERAGE = 0.9
UNFIT = 0.1
"""Credibility below which no class is taken to fit."""

SETS = ("coverage", "set_size", "unfit")
UNCERTAINTIES = ("predictive_entropy", "expected_entropy", "mutual_information", "deterministic_entropy")
COLUMNS = (
    "accuracy",
    "confidence",
    *UNCERTAINTIES[:3],
    *SETS,
    "deterministic_accuracy",
    "deterministic_confidence",
    "deterministic_entropy",
)

Figures = Mapping[str, float]


def main() -> None:
    """Measure, print a table, and write it as JSON and as a plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with mnist.npz")
    parser.add_argument("--cache", type=Path, required=True, help="folder to keep trained weights in")
    parser.add_argument("--rows", type=int, default=1000, help="test digits to rotate (default: 1000)")
    parser.add_argument("--samples", type=int, default=100, help="passes (default: 100)")
    parser.add_argument("--plot", type=Path, help="where to write a plot, such as docs/rotation.svg")
    options = parser.parse_args()
    data = digits(options.data)
    served = serve(data, RECIPES[CHOSEN], 0, options.cache, options.samples)
    # The two halves of the test rows come from two groups of writers.
    every = max(1, len(data.test.y) // options.rows)
    rows = Part(data.test.x[::every], data.test.y[::every])
    print("".join(f"{word:>15}" for word in ("", *(column.partition("_")[0] for column in COLUMNS))))
    print("".join(f"{word:>15}" for word in ("degrees", *(column.partition("_")[2] for column in COLUMNS))))
    figures = []
    for angle in ANGLES:
        images = rotated(rows.x, angle)
        figures.append({"angle": angle, **evaluated(served, images, rows.y, options.samples)})
        print(line(figures[-1]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "rotation.json").write_text(json.dumps(figures, indent=1) + "\n")
    if options.plot:
        plot(figures, options.plot)


def rotated(images: Images, angle: float) -> Images:
    """Rotate images (B, H, W) anticlockwise about their centre, in degrees; new pixels are black.

    >>> rotated(np.array([[[0, 1], [0, 0]]], np.float32), 90)
    array([[[1., 0.],
            [0., 0.]]], dtype=float32)
    """
    result: Images = rotate(images, angle, axes=(2, 1), reshape=False, order=1)
    return result


def evaluated(served: Served, images: Images, y: np.ndarray, samples: int) -> dict[str, float]:
    """Measure accuracy and the means of uncertainty over rows, with passes and without."""
    answer = estimate(served.predictor, {"x": images}, samples, seed=0)
    assert served.predictor.calibration is not None
    sets = served.predictor.calibration.region(answer, COVERAGE)
    once = tempered(served.predictor.predict({"x": images}), served.of_once)
    means = {
        "accuracy": answer["label"] == y,
        "confidence": scaled(answer["probabilities"]).max(axis=-1),
        **{name: answer[name] for name in UNCERTAINTIES[:3]},
        "coverage": sets[np.arange(len(y)), y],
        "set_size": sets.sum(axis=-1),
        "unfit": answer["credibility"] < UNFIT,
        "deterministic_accuracy": once.argmax(axis=-1) == y,
        "deterministic_confidence": once.max(axis=-1),
        "deterministic_entropy": entropy(once),
    }
    return {name: float(np.mean(values, dtype=np.float64)) for name, values in means.items()}


def line(figures: Figures) -> str:
    """Write the figures of one angle as a line."""
    return f"{figures['angle']:>15}" + "".join(f"{figures[column]:>15.3f}" for column in COLUMNS)


def plot(figures: Sequence[Figures], path: Path) -> None:
    """Draw accuracy and confidence, the uncertainties, and what sets and credibility say, by angle."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams.update({"svg.hashsalt": "caveat", "svg.fonttype": "none", "font.size": 9})
    figure, panels = pyplot.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    angles = [each["angle"] for each in figures]
    shown = (("accuracy", "confidence", "deterministic_confidence"), UNCERTAINTIES, SETS)
    titles = (
        "accuracy, and probability of the label",
        "uncertainty, nats",
        f"sets at a coverage of {COVERAGE:.0%}, and credibility",
    )
    for panel, names, title in zip(panels, shown, titles, strict=True):
        for name in names:
            style = "--" if name.startswith("deterministic") else "-"
            label = f"credibility below {UNFIT}" if name == "unfit" else name.replace("_", " ")
            panel.plot(angles, [each[name] for each in figures], style, label=label)
        panel.set(title=title, xlabel="rotated by, degrees", xticks=range(0, 181, 30), ylim=(0, None))
        panel.grid(alpha=0.3)
        panel.legend()
    panels[-1].axhline(COVERAGE, color="black", linewidth=0.8, linestyle=":")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
