"""The `caveat` command where the further task is known; a store that is not there gets a model of it."""

import sys
from pathlib import Path

import tests.toy.models  # noqa: F401  # makes the task known
from caveat.commands import main
from caveat.models.bundles import store
from caveat.models.bundles.bundle import Bundle, pack
from tests.bundles import calibrated, linear_regression


def counts() -> Bundle:
    """Make a model whose rate is linear in a row, and about 100."""
    bundle = linear_regression(bias=100.0)
    facts = {"name": "calls", "task": "counts", "outputs": "rate", "noise_variance": None}
    return calibrated(pack(bundle.manifest.model_copy(update=facts), bundle.files))


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    if not folder.exists():
        store.add(folder, counts())
    raise SystemExit(main(sys.argv[1:]))
