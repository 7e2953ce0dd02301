"""Weights that one module sets on another before each run, such as AWD-LSTM's dropped weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor


@contextmanager
def assignable_weights() -> Iterator[None]:
    """Let a module set a computed tensor where a parameter was.

    With dropout off, what is set may be a parameter; it then stands among those of its module, and PyTorch
    refuses to set a dropped weight in its place.
    """
    usual = nn.Module.__setattr__

    def set_also_computed(self: nn.Module, name: str, value: Any) -> None:
        parameters = self.__dict__.get("_parameters", {})
        if name in parameters and isinstance(value, FakeTensor):  # the tracer puts the parameter back
            parameters[name] = value
            return
        if name in parameters and isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
            del parameters[name]
        usual(self, name, value)

    with patch.object(nn.Module, "__setattr__", set_also_computed):
        yield
