"""The served network: preprocessing, the user's network, and the conversion of its outputs."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from caveat.training.errors import ExportError
from caveat.training.tasks.task import Learning
from caveat.training.vocabulary import Outputs


class Served(nn.Module):
    """Maps inputs to the one output of a model's graphs.

    Parameters
    ----------
    network
        The user's network, which takes tensors by position, or by name if ``names`` are given.
    task, outputs
        The network's task, and the kind of its outputs.
    names
        Parameters of the network's ``forward``, in the order of the inputs.
    pick
        Name or number of the output to serve, if the network has several.
    preprocess
        Module that runs on the inputs first.
    """

    def __init__(
        self,
        network: nn.Module,
        task: Learning,
        outputs: Outputs,
        names: Sequence[str] | None = None,
        pick: str | int | None = None,
        preprocess: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.preprocess = preprocess
        self._task = task
        self._outputs = outputs
        self._names = names
        self._pick = pick

    def forward(self, *inputs: Tensor) -> Tensor:
        """Run the network on B rows; see `Learning.answer`."""
        rows = inputs[0].shape[0]  # before preprocessing, which may make something else of a tensor
        if self.preprocess is not None:
            prepared = self.preprocess(*inputs)
            inputs = prepared if isinstance(prepared, tuple) else (prepared,)
        answer = (
            self.network(**dict(zip(self._names, inputs, strict=True)))
            if self._names
            else self.network(*inputs)
        )
        return self._task.answer(self._picked(answer), self._outputs, rows)

    def _picked(self, answer: Any) -> Any:
        if isinstance(answer, Tensor) and not self.training:
            return answer  # the network has its other outputs in training mode only
        if self._pick is not None:
            try:
                return _item(answer, self._pick)
            except (KeyError, IndexError, TypeError):
                raise ExportError(
                    f"the network has no output {self._pick!r}; it has {_listed(answer)}"
                ) from None
        if isinstance(answer, Mapping) or (
            isinstance(answer, tuple | list) and self._outputs not in self._task.several
        ):
            raise ExportError(
                f"the network has several outputs: {_listed(answer)}; say which one to serve (--output)"
            )
        return answer


def _item(answer: Any, pick: str | int) -> Any:
    if isinstance(answer, Tensor):  # items of a tensor are rows, not outputs
        raise TypeError
    if isinstance(pick, str) and pick in getattr(answer, "_fields", ()):
        return getattr(answer, pick)
    if isinstance(pick, str) and pick.isdigit() and not isinstance(answer, Mapping):
        pick = int(pick)
    return answer[pick]


def _listed(answer: Any) -> str:
    if isinstance(answer, Mapping):
        return ", ".join(str(name) for name in answer)
    if hasattr(answer, "_fields"):
        return ", ".join(answer._fields)
    if isinstance(answer, tuple | list):
        return ", ".join(str(number) for number in range(len(answer)))
    return "one, without a name or number"
