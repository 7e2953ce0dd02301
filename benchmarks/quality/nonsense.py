"""Images that are no digits, made of digits: they judge recipes, so that no letter needs to."""

import numpy as np
from network import Images


def nonsense(digits: Images) -> dict[str, Images]:
    """Spoil every digit (B, 28, 28) in five ways.

    Returns
    -------
    dict
        ``swapped``: quarters in the opposite corners; ``overlaid``: on another digit; ``negative``;
        ``turned``: by 90 degrees; ``halves``: the upper half above another digit's lower half.
    """
    others = digits[np.random.default_rng(0).permutation(len(digits))]
    return {
        "swapped": np.roll(digits, (14, 14), axis=(1, 2)),
        "overlaid": np.maximum(digits, others),
        "negative": 255 - digits,
        "turned": np.ascontiguousarray(np.rot90(digits, axes=(1, 2))),
        "halves": np.concatenate([digits[:, :14], others[:, 14:]], axis=1),
    }
