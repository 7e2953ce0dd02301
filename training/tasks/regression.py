"""Regression: learned by squared error or likelihood, with a fitted noise, measured as normal laws."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Inputs
from caveat.models.predictor import Predictor
from caveat.training.drawing.canvas import Plot
from caveat.training.drawing.values import intervals, ranks
from caveat.training.errors import DataError, ExportError
from caveat.training.fits.noise import fit_noise
from caveat.training.measures import values as measures
from caveat.training.measures.evaluation import Evaluation, Table
from caveat.training.measures.names import (
    GROUPED_AT,
    ONCE,
    ONCE_CALIBRATED,
    PASSES,
    WITHOUT_CALIBRATED,
    held_name,
)
from caveat.training.measures.risks import risks
from caveat.training.objectives.objective import Objective
from caveat.training.objectives.values import regression
from caveat.training.tasks.labels import are_labels
from caveat.training.tasks.task import Learning, Stated, Vector
from caveat.training.vocabulary import Noise

_ONE = "(rows,), or (rows, targets) for several targets"
_PAIR = "(rows, 2), or (rows, targets, 2) for several targets, or as two tensors"


class Regression(Learning):
    """A truth is a number, or a number for each of several targets, and a region is an interval."""

    name = "regression"
    several = ("mean_log_variance",)
    risk = "RMSE of the given answers"

    def infers(self, values: NDArray[Any]) -> bool:
        """See `Learning.infers`."""
        return values.ndim > 1 or not are_labels(values)

    def encode(self, values: NDArray[Any], where: str) -> tuple[NDArray[Any], tuple[str, ...] | None]:
        """Give the values (float64)."""
        if values.dtype.kind in "Ub":
            kind = "booleans" if values.dtype.kind == "b" else "text"
            raise DataError(f"{where}: holds {kind}; a regression needs numbers (or --task classification)")
        return values.astype(np.float64), None

    def targets(self, manifest: Manifest) -> tuple[str | None, ...]:
        """See `Learning.targets`."""
        return manifest.targets or super().targets(manifest)

    def objectives(
        self, data: str, classes: Sequence[str] | None, y: NDArray[Any], noise: Noise | None
    ) -> list[Objective]:
        """Give an objective for each kind of noise, unless the user chose one."""
        noises: tuple[Noise, ...] = (noise,) if noise else ("constant", "predicted")
        return [regression(y, each) for each in noises]

    def answer(self, outputs: Any, kind: str, rows: int) -> Tensor:
        """Give means (B,), or means and variances (B, 2); for T targets (B, T) or (B, T, 2)."""
        if kind == "mean":
            return _by_target(outputs, _ONE)
        pair = outputs if isinstance(outputs, tuple | list) else _unstacked(outputs)
        mean, log_variance = (_by_target(each, _PAIR) for each in pair)
        return torch.stack([mean, log_variance.exp()], dim=-1)

    def facts(self, kind: str, shape: tuple[int, ...], stated: Stated) -> Mapping[str, Any]:
        """See `Learning.facts`; unless the user names several targets, they have numbers."""
        constant = kind == "mean"
        own = shape if constant else shape[:-1]
        noise = {"noise_variance": _noise(stated.noise_variance, own)} if constant else {}
        if not own:
            return {**super().facts(kind, shape, stated), **noise}
        if stated.target is not None:
            raise ExportError(
                f"one target, {stated.target!r}, for {own[0]} outputs; name each of them (--targets a,b)"
            )
        names = stated.targets
        if names is None:
            names = [str(number) for number in range(own[0])]
        if len(names) != own[0]:
            raise ExportError(f"{len(names)} names of targets for {own[0]} outputs")
        others = super().facts(kind, shape, replace(stated, targets=None))
        return {**others, **noise, "targets": tuple(names)}

    def fit(
        self, bundle: Bundle, inputs: Inputs, y: NDArray[Any], samples: int, seed: int
    ) -> Mapping[str, Any]:
        """Fit the noise, unless the network predicts it."""
        if bundle.manifest.outputs != "mean":
            return {}
        return {"noise_variance": fit_noise(Predictor(bundle), inputs, y, samples, seed)}

    def fitted(self, manifest: Manifest) -> Sequence[str]:
        """See `Learning.fitted`."""
        noise = manifest.noise_variance
        if noise is None:
            return ()
        return ("noise variance " + ", ".join(f"{each:.4g}" for each in np.ravel(noise)),)

    def metrics(
        self, manifest: Manifest, answers: Columns, once: NDArray[Any], y: NDArray[Any]
    ) -> Mapping[str, float]:
        """See `Learning.metrics`."""
        return measures.metrics(answers, once, y, manifest.targets)

    def recalibrated(self, once: NDArray[Any], others: NDArray[Any], y: NDArray[Any]) -> NDArray[Any] | None:
        """Give each row the variance of the residuals of other rows."""
        return np.broadcast_to(np.square(others - y).mean(axis=0), once.shape)

    def figures(self, answers: Columns, y: NDArray[Any]) -> Table:
        """See `Learning.figures`."""
        return {
            PASSES: measures.figures(answers["mean"], answers["variance"], y),
            WITHOUT_CALIBRATED: measures.figures(answers[ONCE], answers[ONCE_CALIBRATED], y),
        }

    def scores(self, answers: Columns) -> Mapping[str, Vector]:
        """Give every variance."""
        return measures.scores(answers)

    def curves(self, answers: Columns, y: NDArray[Any]) -> Mapping[str, Vector]:
        """Give root mean square errors."""
        squares = np.square(answers["mean"] - y)
        return {name: np.sqrt(risks(of, squares)) for name, of in measures.scores(answers).items()}

    def subtitle(self, manifest: Manifest) -> str:
        """See `Learning.subtitle`."""
        names = " and ".join(filter(None, self.targets(manifest)))
        return f"Predicts {names or 'a value'}, with the uncertainty of each answer."

    def plots(self, evaluation: Evaluation) -> Iterator[Plot]:
        """Draw intervals, and where the truths lie in the predicted distributions."""
        if held_name(GROUPED_AT) in evaluation.columns:
            yield intervals(evaluation)
        yield ranks(evaluation)

    def spread(self, answers: Columns) -> Vector:
        """Give standard deviations."""
        deviations: Vector = np.sqrt(super().spread(answers))
        return deviations

    def spread_name(self, target: str | None) -> str:
        """See `Learning.spread_name`."""
        return f"standard deviation, units of {target or 'value'}"


def _by_target(output: Tensor, shapes: str) -> Tensor:
    """Give one number per row, or one per row and target; the axis of a single target is removed."""
    if output.ndim not in (1, 2):
        raise _unlike(output, shapes)
    return output.squeeze(1) if output.ndim == 2 and output.shape[1] == 1 else output


def _unstacked(output: Tensor) -> Sequence[Tensor]:
    if output.ndim < 2 or output.shape[-1] != 2:
        raise _unlike(output, _PAIR)
    return output.unbind(-1)


def _unlike(output: Tensor, shapes: str) -> ExportError:
    return ExportError(
        f"a regression answers with one value per row, shape {shapes}; this network answers with shape "
        f"{tuple(output.shape)}"
    )


def _noise(variance: float | Sequence[float], own: tuple[int, ...]) -> float | tuple[float, ...]:
    """Give the noise variance as one number, or as one for each of several targets."""
    each = np.broadcast_to(variance, own).tolist()
    return tuple(each) if own else each
