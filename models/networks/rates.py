"""Dropout rates: one for the input of a network and one for each of its hidden layers."""

from collections.abc import Sequence

from caveat.models.errors import CaveatError


def spread(dropout: Sequence[float], layers: int) -> tuple[float, ...]:
    """Spread dropout rates over the input and the hidden layers.

    Parameters
    ----------
    dropout
        One rate for all hidden layers, or ``layers + 1`` rates, the input's first.
    layers
        Number of hidden layers.

    Returns
    -------
    tuple
        ``layers + 1`` rates, the input's first: 0 unless it was given.

    Raises
    ------
    CaveatError
        If there is another number of rates.

    Examples
    --------
    >>> spread((0.5,), layers=2)
    (0.0, 0.5, 0.5)
    """
    rates = (0.0, *[dropout[0]] * layers) if len(dropout) == 1 else tuple(dropout)
    if len(rates) != layers + 1:
        raise CaveatError(
            f"{len(dropout)} dropout rates for {layers} hidden layers; "
            f"expected 1, or {layers + 1} with the input's first"
        )
    return rates
