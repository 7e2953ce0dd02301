"""The processor that trains a network: some threads of the CPU, or a GPU."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch

ROWS: Final = 256
VALUES: Final = 2**16
"""Rows, or values, of a batch from which on several threads, or a GPU, are faster than one thread."""


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


def suited(batch_size: int, shape: Sequence[int], threads: int, gpu: bool) -> Processor:
    """Choose the fastest processor for batches of rows of a shape.

    Small batches have one thread: others would wake more slowly than it is done, and with one thread no sum
    depends on the number of cores.

    Parameters
    ----------
    batch_size, shape
        Rows in a batch, and the shape of each.
    threads, gpu
        Threads that the CPU has, and whether there is a GPU.

    Examples
    --------
    >>> suited(32, (13,), threads=2, gpu=True)
    Processor(threads=1, device='cpu')
    >>> suited(1024, (13,), threads=2, gpu=False)
    Processor(threads=2, device='cpu')
    >>> suited(32, (3, 64, 64), threads=2, gpu=True)
    Processor(threads=2, device='cuda')
    """
    if batch_size < ROWS and batch_size * math.prod(shape) < VALUES:
        return Processor()
    return Processor(threads, "cuda" if gpu else "cpu")
