"""Images made from digits that are not digits: recipes are chosen on them instead of on letters."""

import numpy as np
from network import Images


def nonsense(digits: Images) -> dict[str, Images]:
    """Change every digit (B, H, W) in five ways.

    Returns
    -------
    dict
        ``swapped``: quarters moved to the opposite corners; ``overlaid``: laid over another digit;
        ``negative``: black and white exchanged; ``rotated``: by 90 degrees; ``halves``: the upper half
        above another digit's lower half.
    """
    height, width = (size // 2 for size in digits.shape[1:])
    others = digits[np.random.default_rng(0).permutation(len(digits))]
    return {
        "swapped": np.roll(digits, (height, width), axis=(1, 2)),
        "overlaid": np.maximum(digits, others),
        "negative": 255 - digits,
        "rotated": np.ascontiguousarray(np.rot90(digits, axes=(1, 2))),
        "halves": np.concatenate([digits[:, :height], others[:, height:]], axis=1),
    }
