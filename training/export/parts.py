"""Parts of a network that no trace can follow, and wrappers that a trace can do without."""

import torch
from torch import nn
from torch._dynamo.eval_frame import OptimizedModule
from torch.ao.quantization import FakeQuantizeBase, ObserverBase

from caveat.training.errors import ExportError
from caveat.training.export.sites import NETWORK

_WRAPPERS: dict[type[nn.Module], str] = {
    OptimizedModule: "_orig_mod",
    nn.DataParallel: "module",
    nn.parallel.DistributedDataParallel: "module",
}
"""Modules that compute what the module in this attribute does, on other hardware or in another way."""

_QUANTIZED = ("torch.ao.nn.quantized", "torch.ao.nn.sparse.quantized", "bitsandbytes", "torchao")
"""Packages whose layers hold packed integers for kernels of their own."""

_WHOLE = {"network": "the network", "preprocess": "what preprocesses the rows"}


def refuse_untraceable(network: nn.Module) -> None:
    """Refuse TorchScript, quantized layers, and what prepares them.

    Raises
    ------
    ExportError
        Naming the part.
    """
    for path, part in network.named_modules():
        name = _WHOLE.get(path, f"part {path.removeprefix(NETWORK)} of the network")
        if isinstance(part, torch.jit.ScriptModule):
            raise ExportError(
                f"a TorchScript module can't be traced, and {name} is one; give the nn.Module that it was "
                "made from"
            )
        if isinstance(part, FakeQuantizeBase | ObserverBase):
            raise ExportError(
                f"{name} is prepared for quantization: it is a {type(part).__name__}, which "
                "measures the rows that it sees. Export the network as it was before prepare or prepare_qat"
            )
        if _is_of(part, _QUANTIZED) or _is_packed(part):
            raise ExportError(
                f"{name} is quantized: it is a {type(part).__module__}.{type(part).__name__}, whose "
                "packed weights no graph holds. Export the floating-point network that it was made from; "
                "`caveat serve` has bfloat16 for speed"
            )


def _is_packed(part: nn.Module) -> bool:
    values = [*vars(part).values(), *part._parameters.values(), *part._buffers.values()]
    return any(
        isinstance(value, torch.ScriptObject)
        or (isinstance(value, torch.Tensor) and (value.is_quantized or _is_of(value.data, _QUANTIZED)))
        for value in values
    )


def _is_of(value: object, packages: tuple[str, ...]) -> bool:
    return type(value).__module__.startswith(packages)


def unwrapped(network: nn.Module) -> nn.Module:
    """Give the module in the wrappers of ``torch.compile``, DataParallel and DistributedDataParallel."""
    while type(network) in _WRAPPERS:
        network = getattr(network, _WRAPPERS[type(network)])
    return network
