"""A model of how long a run takes."""

from typing import Final

_NEWS: Final = 0.2
"""Weight of the latest run in the moving averages."""

_KEPT: Final = 0.95
"""How much of the fixed seconds the ridge penalty keeps, as a fraction; none where loads hardly differ."""


class Pace:
    """Seconds of a run as a line in its load, fixed + each * load, fitted to the latest runs.

    Least squares from exponentially weighted moments. The fixed part carries a penalty (ridge regression),
    so that it is 0 for runs of equal loads.

    Parameters
    ----------
    load
        Values that the first run held.
    seconds
        Seconds that the first run took.

    Examples
    --------
    >>> pace = Pace(100, 0.2)
    >>> pace.seconds(200)
    0.4
    >>> for _ in range(100):
    ...     pace.learn(100, 0.2)
    ...     pace.learn(1000, 0.3)
    >>> round(pace.seconds(1900), 1), round(pace.fixed, 1), round(pace.each, 4)
    (0.4, 0.2, 0.0001)
    """

    def __init__(self, load: float, seconds: float) -> None:
        self._load = load
        self._seconds = seconds
        self._squares = load * load
        self._products = load * seconds
        self.each = seconds / load
        """Seconds per value of a load."""
        self.fixed = 0.0
        """Seconds of a run that do not depend on its load."""

    def learn(self, load: float, seconds: float) -> None:
        """Update the fit with one more run."""
        self._load += _NEWS * (load - self._load)
        self._seconds += _NEWS * (seconds - self._seconds)
        self._squares += _NEWS * (load * load - self._squares)
        self._products += _NEWS * (load * seconds - self._products)
        products = self._products - _KEPT * self._load * self._seconds
        self.each = max(0.0, products / (self._squares - _KEPT * self._load**2))
        self.fixed = max(0.0, _KEPT * (self._seconds - self.each * self._load))

    def seconds(self, load: float) -> float:
        """Predict the seconds of a run."""
        return self.fixed + self.each * load
