"""Dropout rates: one for the input of a network and one for each of its hidden layers."""

from collections.abc import Sequence

from caveat.models.errors import CaveatError


def layer_rates(dropout: Sequence[float], layers: int) -> tuple[float, ...]:
    """Give the dropout rates of the input and of each hidden layer.

    Parameters
    ----------
    dropout
        One rate for all hidden layers, or ``layers + 1`` rates, the input's first.
    layers
        Number of hidden layers.

    Returns
    -------
    tuple
        ``layers + 1`` rates, the input's first; the input's is 0 if ``dropout`` is one rate.

    Raises
    ------
    CaveatError
        If there are neither 1 nor ``layers + 1`` rates.

    Examples
    --------
    >>> layer_rates((0.5,), layers=2)
    (0.0, 0.5, 0.5)
    """
    rates = (0.0, *[dropout[0]] * layers) if len(dropout) == 1 else tuple(dropout)
    if len(rates) != layers + 1:
        raise CaveatError(
            f"{len(dropout)} dropout rates for {layers} hidden layers; "
            f"expected 1, or {layers + 1} with the input's first"
        )
    return rates
