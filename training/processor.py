"""The processor that trains a network: some threads of the CPU, or a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

GPU_WORK: Final = 2**24
"""Floating-point operations of a step's forward pass from which on a GPU is faster than a thread."""

THREADS_WORK: Final = 2**29
"""The same for several threads of the CPU."""


@dataclass(frozen=True)
class Processor:
    """What trains a network.

    Parameters
    ----------
    threads
        Threads of the CPU.
    device
        The torch device that holds the network and each batch.
    """

    threads: int = 1
    device: str = "cpu"

    def __str__(self) -> str:
        """Name the GPU, or count the threads.

        >>> str(Processor()), str(Processor(2)), str(Processor(2, "cuda"))
        ('1 thread', '2 threads', 'cuda')
        """
        if self.device != "cpu":
            return self.device
        return f"{self.threads} thread{'s' if self.threads > 1 else ''}"

    @contextmanager
    def used(self) -> Iterator[torch.device]:
        """Give the device for a block that runs on these threads; afterwards torch has its own ones again."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            # Without this, two runs on a GPU would differ in the last bits.
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
                yield torch.device(self.device)
        finally:
            torch.set_num_threads(before)


def suited(work: float, threads: int, gpu: bool) -> Processor:
    """Choose a processor for steps of so much work.

    Small steps have one thread, and then no sum depends on the number of cores.

    Parameters
    ----------
    work
        See `work`.
    threads, gpu
        Threads that the CPU has, and whether there is a GPU.

    Examples
    --------
    >>> suited(1e6, threads=2, gpu=True)
    Processor(threads=1, device='cpu')
    >>> suited(1e8, threads=2, gpu=True), suited(1e8, threads=2, gpu=False)
    (Processor(threads=1, device='cuda'), Processor(threads=1, device='cpu'))
    >>> suited(1e10, threads=2, gpu=False)
    Processor(threads=2, device='cpu')
    """
    if gpu and work >= GPU_WORK:
        return Processor(device="cuda")
    return Processor(threads if work >= THREADS_WORK else 1)


def work(network: nn.Module, row: Tensor, batch_size: int) -> float:
    """Count the floating-point operations of a forward pass over a batch of rows like this one, (1, ...).

    Those of products alone, without those of an LSTM, whose steps are small.
    """
    training = network.training
    # With gradients, as in training: without them, a transformer's layers are single operators, uncounted.
    with FlopCounterMode(display=False) as counter:
        network.eval()(row)
    network.train(training)
    return float(counter.get_total_flops()) * batch_size
