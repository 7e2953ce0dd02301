"""How `caveat train` trains a network for a task, unless told otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Defaults:
    """Defaults of training. They are known here since the help of a command shows them without torch.

    Parameters
    ----------
    lr
        Step size of Adam.
    patience
        Epochs without a lower validation loss after which training stops; None is three tenths of all
        epochs, and anneals the step size.
    validation
        Fraction of the rows outside the test part that decides when training stops, and what is fitted.
    hidden
        Sizes of the hidden layers by network, where they differ from the network's own.
    dropout
        Dropout rate, if it differs from the network's own.
    """

    lr: float = 1e-3
    patience: int | None = 40
    validation: float = 0.1
    hidden: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    dropout: float | None = None
