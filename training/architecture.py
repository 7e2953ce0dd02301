"""The network architectures of ``caveat train``, with the rows that each takes and its default sizes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from torch import nn

from caveat.models.bundles.signature import Input
from caveat.models.errors import CaveatError
from caveat.models.networks.cnn import CNN
from caveat.models.networks.mlp import MLP
from caveat.models.networks.recurrent import Recurrent
from caveat.models.networks.transformer import Transformer
from caveat.training.vocabulary import NetworkName

Build = Callable[[Sequence[int], int | None, Sequence[int], Sequence[float]], nn.Module]


@dataclass(frozen=True)
class Architecture:
    """A kind of network.

    Parameters
    ----------
    build
        Function that makes a network from the shape of a row, the number of outputs (None for a single
        value), the sizes of the hidden layers, and the dropout rates.
    hidden, dropout
        Sizes of the hidden layers and dropout rate, unless the task has its own.
    ranks
        Ranks of the rows that the network takes, with the meaning of their axes; None for any rank.
    sequences
        Whether rows are sequences (length, features), whose length each request chooses.
    """

    build: Build
    hidden: tuple[int, ...]
    dropout: float
    ranks: Mapping[int, str] | None = None
    sequences: bool = False

    @property
    def free(self) -> dict[int, str]:
        """Names of the sizes that a request chooses, by axis, apart from the number of rows."""
        return {1: "length"} if self.sequences else {}

    def signature(self, spec: Input) -> Input:
        """Replace the sizes in `free` by their names in an input's signature."""
        shape = tuple(self.free.get(axis, size) for axis, size in enumerate(spec.shape))
        sizes = dict.fromkeys(self.free.values(), (1, None))
        return spec.model_copy(update={"shape": shape, "sizes": sizes})


def _sequences(build: Build, rate: float) -> Architecture:
    return Architecture(build, (64, 64), rate, {2: "(length, features)"}, sequences=True)


ARCHITECTURES: dict[NetworkName, Architecture] = {
    "mlp": Architecture(MLP, (128,), 0.5),
    "cnn": Architecture(CNN, (32, 64), 0.2, {2: "(H, W)", 3: "(C, H, W)"}),
    "lstm": _sequences(partial(Recurrent, nn.LSTM), 0.2),
    "gru": _sequences(partial(Recurrent, nn.GRU), 0.2),
    "transformer": _sequences(Transformer, 0.1),
}


def refuse_misfit(name: NetworkName, shape: Sequence[object]) -> None:
    """Refuse rows of a shape that an architecture does not take.

    Raises
    ------
    CaveatError
        If the rows have another rank.
    """
    ranks = ARCHITECTURES[name].ranks
    if ranks is not None and len(shape) not in ranks:
        raise CaveatError(
            f"--network {name} takes rows of rank {' or '.join(map(str, ranks))}, "
            f"{' or '.join(ranks.values())}; these have shape {tuple(shape)}"
        )
