"""What changes the rows of each training batch at random."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from caveat.models.errors import CaveatError
from caveat.training.augmentation.images import Affine
from caveat.training.augmentation.kinds import KINDS
from caveat.training.augmentation.mixup import Loss, Mixup
from caveat.training.augmentation.sequences import Jitter, Mask

_AFFINE: Final = ("shift", "rotation", "scale", "flip")


class Augmentation:
    """Changes batches.

    Parameters
    ----------
    changes
        Functions of rows, one after the other.
    mixup
        What mixes rows after that; None mixes none.
    """

    def __init__(self, changes: Sequence[Callable[[Tensor], Tensor]], mixup: Mixup | None) -> None:
        self._changes = changes
        self._mixup = mixup

    def __call__(self, rows: Tensor, loss: Loss) -> tuple[Tensor, Loss]:
        """Change rows, (B, ...), floating; give them, and the loss that suits their targets."""
        for change in self._changes:
            rows = change(rows)
        return self._mixup(rows, loss) if self._mixup else (rows, loss)


def augmentation(strengths: Mapping[str, float], rows: Tensor, sequences: bool) -> Augmentation | None:
    """Make the augmentation of training rows; None if nothing changes them.

    Parameters
    ----------
    strengths
        Strengths by kind, as `caveat.training.augmentation.kinds.strengths` reads them.
    rows
        All training rows, (B, ...).
    sequences
        Whether the network takes them as sequences.

    Raises
    ------
    CaveatError
        If the rows are neither images nor sequences as a kind needs them.
    """
    if not strengths:
        return None
    refuse_misfits(strengths, rows.shape[1:], sequences)
    changes: list[Callable[[Tensor], Tensor]] = []
    if affine := {name: strengths[name] for name in _AFFINE if name in strengths}:
        changes.append(Affine(**affine))
    if "jitter" in strengths:
        changes.append(Jitter(strengths["jitter"] * torch.std(_steps(rows), dim=0)))
    if "mask" in strengths:
        changes.append(Mask(strengths["mask"], _steps(rows).mean(dim=0)))
    return Augmentation(changes, Mixup(strengths["mixup"]) if "mixup" in strengths else None)


def _steps(sequences: Tensor) -> Tensor:
    """Give the steps of all sequences, (steps, features), in double precision."""
    return sequences.flatten(0, -2).double()


def refuse_misfits(strengths: Mapping[str, float], shape: Sequence[object], sequences: bool) -> None:
    """Refuse kinds of augmentation that rows of a shape can't have.

    Raises
    ------
    CaveatError
        Naming the kind, and the rows that it takes.
    """
    kind_of_rows = "sequences" if sequences else "images" if len(shape) in (2, 3) else "rows of a table"
    for name in strengths:
        of = KINDS[name].of
        if kind_of_rows == "rows of a table" or of not in (kind_of_rows, "both"):
            takes = "images and sequences" if of == "both" else of
            raise CaveatError(f"--augment {name} changes {takes}; these are {kind_of_rows}")
