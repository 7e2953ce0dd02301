"""Class probabilities at another temperature: flatter above 1, sharper below."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def tempered(probabilities: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """Give the probabilities of a softmax whose logits are divided by ``temperature``.

    That is ``p ** (1 / temperature)``, scaled to a sum of 1 (Guo et al., "On calibration of modern neural
    networks", ICML 2017). A probability of 0 stays 0.

    Parameters
    ----------
    probabilities
        Class probabilities, shape (..., C).

    Examples
    --------
    >>> tempered(np.array([0.8, 0.2]), 0.5).round(4)
    array([0.9412, 0.0588])
    """
    powers: NDArray[np.float64] = np.power(probabilities, 1 / temperature, dtype=np.float64)
    powers /= np.add.reduce(powers, axis=-1, keepdims=True)
    return powers
