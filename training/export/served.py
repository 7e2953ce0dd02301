"""The served network: preprocessing, the user's network, and the conversion of its outputs."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from caveat.training.errors import ExportError
from caveat.training.vocabulary import Outputs


class Served(nn.Module):
    """Maps inputs to one output: probabilities, means, or means and variances.

    Parameters
    ----------
    network
        The user's network, which takes tensors by position, or by name if ``names`` are given.
    outputs
        Kind of the network's outputs.
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
        outputs: Outputs,
        names: Sequence[str] | None = None,
        pick: str | int | None = None,
        preprocess: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.preprocess = preprocess
        self._outputs = outputs
        self._names = names
        self._pick = pick

    def forward(self, *inputs: Tensor) -> Tensor:
        """Run the network on B rows; give (B, C), (B,) or (B, 2), or (B, T) or (B, T, 2) for T targets."""
        if self.preprocess is not None:
            prepared = self.preprocess(*inputs)
            inputs = prepared if isinstance(prepared, tuple) else (prepared,)
        answer = (
            self.network(**dict(zip(self._names, inputs, strict=True)))
            if self._names
            else self.network(*inputs)
        )
        output = self._picked(answer)
        if self._outputs in ("logits", "probabilities"):
            output = self._by_class(output, inputs[0].shape[0])
        return self._answer(output)

    def _by_class(self, output: Tensor, rows: int) -> Tensor:
        """Give one number per class; a single number is that of the second of two classes."""
        if output.ndim == 1 and output.shape[0] == rows:
            output = output.unsqueeze(1)
        if output.ndim != 2:
            raise ExportError(
                "a classification answers with one number per class, shape (rows, classes), or with one for "
                f"the second of two; this network answers {rows} rows with shape {tuple(output.shape)}"
            )
        if output.shape[1] == 1:
            other = torch.zeros_like(output) if self._outputs == "logits" else 1 - output
            return torch.cat([other, output], dim=1)
        return output

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
            isinstance(answer, tuple | list) and self._outputs != "mean_log_variance"
        ):
            raise ExportError(
                f"the network has several outputs: {_listed(answer)}; say which one to serve (--output)"
            )
        return answer

    def _answer(self, output: Any) -> Tensor:
        match self._outputs:
            case "logits":
                return torch.softmax(output, dim=-1)
            case "probabilities":
                return output  # type: ignore[no-any-return]
            case "mean":
                return _by_target(output, "(rows,), or (rows, targets) for several targets")
            case _:
                shapes = "(rows, 2), or (rows, targets, 2) for several targets, or as two tensors"
                pair = output if isinstance(output, tuple | list) else _unstacked(output, shapes)
                mean, log_variance = (_by_target(values, shapes) for values in pair)
                return torch.stack([mean, log_variance.exp()], dim=-1)


def _unstacked(output: Tensor, shapes: str) -> Sequence[Tensor]:
    if output.ndim < 2 or output.shape[-1] != 2:
        raise _unlike(output, shapes)
    return output.unbind(-1)


def _by_target(output: Tensor, shapes: str) -> Tensor:
    """Give one number per row, or one per row and target; the axis of a single target is removed."""
    if output.ndim not in (1, 2):
        raise _unlike(output, shapes)
    return output.squeeze(1) if output.ndim == 2 and output.shape[1] == 1 else output


def _unlike(output: Tensor, shapes: str) -> ExportError:
    return ExportError(
        f"a regression answers with one value per row, shape {shapes}; this network answers with shape "
        f"{tuple(output.shape)}"
    )


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
