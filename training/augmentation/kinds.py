"""The kinds of augmentation, as options name them; no torch is needed to know them."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Kind:
    """A kind of augmentation.

    Parameters
    ----------
    usual
        Its strength, unless given.
    most
        The largest strength.
    of
        The rows that it changes: ``images``, ``sequences``, or ``both``.
    meaning
        What the strength is.
    """

    usual: float
    most: float
    of: str
    meaning: str


KINDS: Final = {
    "shift": Kind(0.1, 0.5, "images", "farthest, as part of the image's height and width"),
    "rotation": Kind(15.0, 180.0, "images", "largest angle in degrees, either way"),
    "scale": Kind(0.1, 0.5, "images", "largest part by which an image grows or shrinks"),
    "flip": Kind(0.5, 1.0, "images", "probability with which left and right change places"),
    "jitter": Kind(0.1, 1.0, "sequences", "standard deviation of the noise, as part of each feature's"),
    "mask": Kind(0.1, 0.5, "sequences", "longest part of the steps that is hidden"),
    "mixup": Kind(0.2, 10.0, "both", "a of the Beta(a, a) from which the shares of two rows come"),
}
"""By the name."""


def strengths(stated: tuple[str, ...]) -> dict[str, float]:
    """Read kinds of augmentation as options state them.

    Raises
    ------
    ValueError
        If a kind is unknown or there twice, or its strength is no number within its bounds.

    Examples
    --------
    >>> strengths(("shift", "rotation=10"))
    {'shift': 0.1, 'rotation': 10.0}
    """
    found: dict[str, float] = {}
    for each in stated:
        name, given, number = each.partition("=")
        if name not in KINDS:
            raise ValueError(f"{name!r} is no augmentation; expected {', '.join(KINDS)}")
        if name in found:
            raise ValueError(f"{name} is there twice")
        kind = KINDS[name]
        try:
            found[name] = float(number) if given else kind.usual
        except ValueError:
            found[name] = 0.0
        if not 0 < found[name] <= kind.most:
            raise ValueError(
                f"{each}: expected a number above 0 and up to {kind.most:g}, the {kind.meaning}; unless "
                f"given, {kind.usual:g}"
            )
    return found
