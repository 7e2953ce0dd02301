"""How ``caveat train`` trains: one definition for its flags and for its Python."""

from collections.abc import Callable
from typing import Annotated, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from caveat.models.bundles.manifest import Name
from caveat.models.tasks import tasks
from caveat.models.tasks.defaults import Defaults
from caveat.training.augmentation.kinds import strengths
from caveat.training.vocabulary import NetworkName, Noise

Rate = Annotated[float, Field(ge=0, lt=1)]
Retention = Annotated[float, Field(gt=0, le=1)]


def _of_each(words: Callable[[Defaults], str]) -> str:
    """List a default of each task, for the help."""
    *most, last = [f"{words(task.training)} for a {task.name}" for task in tasks.every()]
    return f"{', '.join(most)} and {last}"


def _exceptions(words: Callable[[Defaults], str]) -> str:
    """List the defaults of the tasks that have their own, for the help."""
    own = [(task.name, words(task.training)) for task in tasks.every()]
    return "".join(f"; for a {name} {default}" for name, default in own if default)


def _sizes(defaults: Defaults) -> str:
    return ", ".join(f"{','.join(map(str, sizes))} for {name}" for name, sizes in defaults.hidden.items())


def _rate(defaults: Defaults) -> str:
    return "" if defaults.dropout is None else f"{defaults.dropout:g}"


class Options(BaseModel):
    """What to train, and how."""

    network: NetworkName = Field(
        "mlp",
        description="what to train: mlp takes rows of any shape; cnn images (H, W) or (C, H, W); lstm, gru "
        "and transformer sequences (length, features), and they serve sequences of any length",
    )
    hidden: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        None,
        min_length=1,
        description="size of each hidden layer, such as 512,512: units of mlp, lstm and gru, channels of "
        "cnn, and of transformer the width, equal in all layers; unless given, 128 for mlp, 32,64 for cnn "
        "and 64,64 for the others" + _exceptions(_sizes),
    )
    dropout: tuple[Rate, ...] | None = Field(
        None,
        min_length=1,
        description="one dropout rate for all hidden layers, or one for the input and each of them, such as "
        "0.2,0.5,0.5; cnn drops whole channels, lstm and gru drop a unit at every step or none; unless "
        "given, 0.5 for mlp, 0.2 for cnn, lstm and gru, and 0.1 for transformer"
        + _exceptions(_rate)
        + "; less "
        "for more than 10,000 training rows, down to a fifth of it",
    )
    keep: tuple[Retention, ...] | None = Field(
        None,
        min_length=1,
        description="probabilities of retention, another way to say --dropout: 0.8,0.5,0.5 for a dropout of "
        "0.2,0.5,0.5",
    )
    noise: Noise | None = Field(
        None,
        description="what a regression takes the target's noise for: constant, or predicted for each row, as "
        "--unseen other needs; "
        "unless given, a network is trained for either, on 10,000 training rows if they are over 20,000, "
        "and the one is kept under which the validation rows are more likely",
    )
    epochs: int | None = Field(
        None,
        ge=1,
        description="times to go over the training rows, at most; unless given, 200, and fewer for more than "
        "10,000 training rows, such as 63 for 100,000",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="rows per step; unless given, 32, and up to 1024 for more than 10,000 training rows",
    )
    lr: float | None = Field(
        None,
        gt=0,
        description="step size of Adam; unless given, "
        + _of_each(lambda defaults: f"{defaults.lr:g}")
        + "; up to 0.005 for more than 10,000 training rows, as batches grow",
    )
    l1: float = Field(
        0.0, ge=0, description="adds this many times the sum of the weights' absolute values to the loss"
    )
    l2: float = Field(
        5e-5, ge=0, description="adds this many times the sum of the weights' squares to the loss"
    )
    weight_decay: float = Field(
        0.0,
        ge=0,
        description="shrinks the weights by this part, times the step size, at each step, beside the loss "
        "(AdamW); unlike --l2, Adam does not rescale it",
    )
    max_norm: float | None = Field(
        None,
        gt=0,
        description="bound on the norm of each unit's weights, such as 3; unless given, none",
    )
    augment: tuple[str, ...] = Field(
        (),
        description="random changes of the training rows: of images shift, rotation, scale and flip (left to "
        "right), of sequences jitter and mask, of both mixup; each may state its strength, as in "
        "shift=0.1,rotation=15; none unless given",
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="epochs without a lower validation loss after which training stops; where the step size "
        "falls, it first falls to 0 within as many epochs; it falls for a regression, and for more than "
        "10,000 training rows; unless given, three tenths of the epochs where it falls, and elsewhere 40",
    )
    samples: int = Field(100, ge=2, description="passes behind every answer in the evaluation")
    test_size: float = Field(0.2, gt=0, lt=1, description="part of the rows to hold out and test on")
    seed: int = Field(1, ge=0, lt=2**32, description="decides the split, the weights and every batch")
    name: Name | None = Field(None, description="what to call the model; unless given, the name of the data")

    @property
    def rates(self) -> tuple[float, ...] | None:
        """The dropout rates, however they were stated; None if they were not.

        >>> Options(keep=(0.8, 0.5)).rates
        (0.2, 0.5)
        """
        return self.dropout if self.keep is None else tuple(round(1 - keep, 12) for keep in self.keep)

    @field_validator("augment")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        strengths(value)
        return value

    @model_validator(mode="after")
    def _once(self) -> Self:
        if self.dropout is not None and self.keep is not None:
            raise ValueError("--keep and --dropout say the same; give one of them")
        return self
