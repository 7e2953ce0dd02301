"""The objective of a network that answers with class probabilities."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from caveat.training.objectives.objective import Objective


def classification(classes: int) -> Objective:
    """Learn classes by cross-entropy, and answer with probabilities."""
    return Objective(
        width=classes,
        outputs="probabilities",
        loss=F.cross_entropy,
        validation_loss=F.cross_entropy,
        encode=torch.from_numpy,
        answer=nn.Softmax(dim=-1),
        score_name="accuracy",
        score=_accuracy,
    )


def _accuracy(probabilities: Tensor, y: Tensor) -> float:
    return float((probabilities.argmax(dim=-1) == y).double().mean())
