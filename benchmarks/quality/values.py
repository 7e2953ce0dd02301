"""The regression sets of a folder: files ``<name>.npz`` with rows, targets, and splits of the rows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ARRAYS = frozenset({"X", "y", "train_idx", "test_idx"})
"""The arrays of a set; files without these are none."""


@dataclass(frozen=True)
class Values:
    """Rows with the values that they have, and splits.

    Parameters
    ----------
    x, y
        Rows, shape (B, F), and targets, shape (B,).
    train, test
        Indices of the rows of each split, shape (splits, ...).
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    train: NDArray[np.intp]
    test: NDArray[np.intp]

    @property
    def splits(self) -> range:
        """Numbers of the splits."""
        return range(len(self.train))


def names(folder: Path) -> tuple[str, ...]:
    """List the sets of a folder."""
    return tuple(path.stem for path in sorted(folder.glob("*.npz")) if arrays(path) >= ARRAYS)


def arrays(path: Path) -> frozenset[str]:
    """Name the arrays of a file."""
    with np.load(path) as file:
        return frozenset(file.files)


def read(folder: Path, name: str) -> Values:
    """Read a set; without a second axis its indices are those of a single split."""
    with np.load(folder / f"{name}.npz") as file:
        train, test = (np.atleast_2d(file[part]).astype(np.intp) for part in ("train_idx", "test_idx"))
        return Values(file["X"].astype(np.float64), file["y"].astype(np.float64).ravel(), train, test)
