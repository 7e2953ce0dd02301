"""Metrics of a model on held-out rows, answered as for a client."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.signature import Inputs
from caveat.models.errors import CaveatError
from caveat.models.estimates.cohort import estimate
from caveat.models.predictor import Predictor
from caveat.training.fits.mixture import log_density


def held_out_metrics(
    predictor: Predictor, inputs: Inputs, y: NDArray[Any], samples: int, seed: int
) -> dict[str, float]:
    """Measure a served model on held-out rows.

    Parameters
    ----------
    predictor
        Predictor of the model.
    inputs, y
        Raw rows, and their targets: indices of classes, or values; (B, T) for T targets.
    samples, seed
        Number of passes behind every answer, and their seed.

    Returns
    -------
    dict
        For classes: ``accuracy`` of the mean over passes and ``deterministic_accuracy`` without dropout;
        ``log_loss`` of the mean, in nats; ``error_auroc``, how well the predictive entropy separates
        wrong from right labels (1 perfectly, 0.5 by chance; absent if all are right or all wrong).
        For values: ``rmse`` of the mean and ``deterministic_rmse``, in the target's units;
        ``log_likelihood`` of a row, in nats, under a normal distribution with the answer's mean and variance
        (absent if a variance is 0). Several targets each have their errors, such as ``rmse[price]``; the
        likelihood is that of all targets together, as independent normal distributions.

    Raises
    ------
    CaveatError
        If the network's answers are not finite.
    """
    answer = estimate(predictor, inputs, samples, seed)
    deterministic = predictor.predict(inputs)
    for name, column in {**answer, "prediction": deterministic}.items():
        if not np.isfinite(column).all():
            raise CaveatError(
                f"the {name} is not finite on the held-out rows; lower --lr, or rescale the target"
            )
    if predictor.manifest.task == "classification":
        return _classification(answer, deterministic, y)
    return _regression(answer, deterministic, y, predictor.manifest.targets)


def _classification(answer: Columns, deterministic: np.ndarray, y: np.ndarray) -> dict[str, float]:
    wrong = answer["label"] != y
    found = {
        "accuracy": metrics.accuracy_score(y, answer["label"]),
        "deterministic_accuracy": metrics.accuracy_score(y, deterministic.argmax(axis=-1)),
        "log_loss": metrics.log_loss(y, answer["mean"], labels=np.arange(deterministic.shape[1])),
    }
    if 0 < wrong.sum() < len(wrong):
        found["error_auroc"] = metrics.roc_auc_score(wrong, answer["predictive_entropy"])
    return {name: float(value) for name, value in found.items()}


def _regression(
    answer: Columns, deterministic: np.ndarray, y: np.ndarray, targets: tuple[str, ...] | None = None
) -> dict[str, float]:
    mean, variance = answer["mean"], answer["variance"]
    marks = [f"[{name}]" for name in targets] if targets else [""]
    found: dict[str, float] = {}
    for name, values in {"rmse": mean, "deterministic_rmse": deterministic}.items():
        errors = np.atleast_1d(metrics.root_mean_squared_error(y, values, multioutput="raw_values"))
        found |= {f"{name}{mark}": error for mark, error in zip(marks, errors, strict=True)}
    if variance.min() > 0:
        logs = log_density(mean[None], variance[None], y)
        found["log_likelihood"] = logs.reshape(len(y), -1).sum(axis=1).mean()
    return {name: float(value) for name, value in found.items()}
