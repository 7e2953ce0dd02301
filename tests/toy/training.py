"""The same further task, as a file of `caveat.training.tasks` would define it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.manifest import Manifest
from caveat.training.errors import DataError
from caveat.training.measures.evaluation import Table
from caveat.training.measures.figure import averaged
from caveat.training.measures.names import ONCE, PASSES, WITHOUT
from caveat.training.measures.risks import risks
from caveat.training.objectives.objective import Objective
from caveat.training.tasks.task import Learning, Vector
from caveat.training.vocabulary import Noise


class Counts(Learning):
    """A truth is a whole number, and a region is an interval."""

    name = "counts"
    truth = "count"
    risk = "mean error of the given answers"

    def encode(self, values: NDArray[Any], where: str) -> tuple[NDArray[Any], tuple[str, ...] | None]:
        if values.dtype.kind in "Ub" or (values < 0).any():
            raise DataError(f"{where}: expected counts, 0 or more")
        return values.astype(np.float64), None

    def objectives(
        self, data: str, classes: Sequence[str] | None, y: NDArray[Any], noise: Noise | None
    ) -> list[Objective]:
        if noise is not None:
            raise DataError(f"--noise {noise} goes with a regression; {data} holds counts")
        return [
            Objective(
                width=None,
                outputs="log_rate",
                loss=F.poisson_nll_loss,
                validation_loss=F.poisson_nll_loss,
                encode=lambda values: torch.from_numpy(values).float(),
                answer=nn.Identity(),
                score_name="mean error",
                score=lambda log_rates, y: float((log_rates.exp() - y).abs().mean()),
            )
        ]

    def answer(self, outputs: Any, kind: str, rows: int) -> Tensor:
        rates: Tensor = outputs.reshape(rows).exp()
        return rates

    def metrics(
        self, manifest: Manifest, answers: Columns, once: NDArray[Any], y: NDArray[Any]
    ) -> Mapping[str, float]:
        return {"mean_error": np.abs(answers["mean"] - y).mean()}

    def figures(self, answers: Columns, y: NDArray[Any]) -> Table:
        methods = {PASSES: answers["mean"], WITHOUT: answers[ONCE]}
        return {name: {"mean error": averaged(np.abs(of - y))} for name, of in methods.items()}

    def scores(self, answers: Columns) -> Mapping[str, Vector]:
        return {"variance": answers["variance"]}

    def curves(self, answers: Columns, y: NDArray[Any]) -> Mapping[str, Vector]:
        return {"variance": risks(answers["variance"], np.abs(answers["mean"] - y))}

    def subtitle(self, manifest: Manifest) -> str:
        return f"Predicts the number of {manifest.target}, with the uncertainty of each answer."


def network() -> nn.Module:
    """Make a network of a user's own that predicts the logarithm of a rate."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))
