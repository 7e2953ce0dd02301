"""Images made from digits that are not digits: recipes are chosen on them instead of on letters."""

import numpy as np
from network import Images


def nonsense(digits: Images) -> dict[str, Images]:
    """Change every digit (B, 28, 28) in five ways.

    Returns
    -------
    dict
        ``swapped``: quarters moved to the opposite corners; ``overlaid``: laid over another digit;
        ``negative``: black and white exchanged; ``rotated``: by 90 degrees; ``halves``: the upper half
        above another digit's lower half.
    """
    others = digits[np.random.default_rng(0).permutation(len(digits))]
    return {
        "swapped": np.roll(digits, (14, 14), axis=(1, 2)),
        "overlaid": np.maximum(digits, others),
        "negative": 255 - digits,
        "rotated": np.ascontiguousarray(np.rot90(digits, axes=(1, 2))),
        "halves": np.concatenate([digits[:, :14], others[:, 14:]], axis=1),
    }
