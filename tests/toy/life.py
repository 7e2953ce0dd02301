"""The life of a model of a further task, by the commands: written as JSON, for a test to look at.

A program of its own, so that the task is known to no other test.
"""

import io
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import tests.toy.models  # makes the task known where models are served
import tests.toy.training  # noqa: F401  # and where they are learned
from caveat.commands import main
from caveat.models.bundles import store
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.models.tasks.decisions import Decisions


def drawn(rows: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw rows and counts, whose rate grows with the first number of a row."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 2)).astype(np.float32)
    return x, random.poisson(np.exp(1 + x[:, 0]))


def told(*arguments: str) -> str:
    """Run a command that must succeed; give what it prints."""
    text = io.StringIO()
    with redirect_stdout(text):
        try:
            code = main(arguments)
        except SystemExit as ended:  # of --help
            code = int(ended.code or 0)
    assert code == 0, text.getvalue()
    return text.getvalue()


def live(home: Path) -> dict[str, object]:
    """Train, export, calibrate, evaluate and ask."""
    for name, seed in (("calls", 0), ("fresh", 1)):
        x, y = drawn(600, seed)
        np.savez(home / f"{name}.npz", x=x, y=y)
    np.save(home / "example.npy", x[:5])
    out, fresh = ("--out", str(home)), ("--data", str(home / "fresh.npz"))
    flags = ("--task", "counts", "--epochs", "20", "--samples", "20")
    report = told("train", "--data", str(home / "calls.npz"), *flags, *out)
    card = home / "card.html"
    figures = told(
        "evaluate", str(home / "calls"), *fresh, "--ood", str(home / "calls.npz"), "--out", str(card)
    )
    own = ("--task", "counts", "--outputs", "log_rate", "--name", "own", "--target", "calls")
    told("export", "tests.toy.training:network", "--example", str(home / "example.npy"), *own, *out)
    told("calibrate", str(home / "own"), *fresh)

    trained, exported = (store.load(store.find(home / name)) for name in ("calls", "own"))
    predictor = Predictor(trained)
    x, y = drawn(1000, 2)
    columns = estimate(predictor, x, 20, seed=0)
    asked = Decisions(coverage=0.9, quantiles=(0.5,))
    predictor.task.check_decisions(asked, predictor.calibration)
    decided = predictor.task.decide(asked, columns, predictor.calibration)
    low, high = decided["interval"].T
    return {
        "help": [" ".join(told(name, "--help").split()) for name in ("train", "export")],
        "report": report,
        "figures": figures,
        "card": card.read_text(),
        "hidden": trained.manifest.provenance.hyperparameters["hidden"],
        "metrics": trained.manifest.metrics,
        "outputs": [trained.manifest.outputs, exported.manifest.outputs],
        "calibrated": [bundle.manifest.calibration is not None for bundle in (trained, exported)],
        "columns": {name: list(column.shape) for name, column in columns.items()},
        "decided": list(decided),
        "notes": predictor.task.notes(asked, predictor.calibration),
        "error": float(np.abs(columns["mean"] - y).mean()),
        "blind": float(np.abs(y - y.mean()).mean()),
        "held": float(((low <= y) & (y <= high)).mean()),
    }


if __name__ == "__main__":
    print(json.dumps(live(Path(sys.argv[1]))))
