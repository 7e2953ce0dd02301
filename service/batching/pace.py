"""How long a run takes."""

from typing import Final

_NEWS: Final = 0.2
"""Weight of a run among those before it."""

_KEPT: Final = 0.95
"""Part of the fixed seconds that the penalty leaves of them; where loads differ little, it leaves none."""


class Pace:
    """Seconds of a run by its load, a fixed part and one for each value: the line through the runs of late.

    Least squares, by their moments; a fixed part costs a penalty (ridge regression), so that runs which are
    all alike are taken for ones without it.

    Parameters
    ----------
    load, seconds
        Of the first run.

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
        """Seconds for each value of a load."""
        self.fixed = 0.0
        """Seconds of a run apart from those of its load."""

    def learn(self, load: float, seconds: float) -> None:
        """Take in how long one more run took."""
        self._load += _NEWS * (load - self._load)
        self._seconds += _NEWS * (seconds - self._seconds)
        self._squares += _NEWS * (load * load - self._squares)
        self._products += _NEWS * (load * seconds - self._products)
        products = self._products - _KEPT * self._load * self._seconds
        self.each = max(0.0, products / (self._squares - _KEPT * self._load**2))
        self.fixed = max(0.0, _KEPT * (self._seconds - self.each * self._load))

    def seconds(self, load: float) -> float:
        """Tell how long a run will take."""
        return self.fixed + self.each * load
