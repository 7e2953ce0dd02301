"""Serves PyTorch networks with dropout, and says with every prediction how far it can be trusted.

What is public is listed here; everything else may change between versions.

- `Bundle`: a verified model in memory, with its `manifest`.
- `export`: from a network to a bundle, checked against the network. Needs PyTorch.
- `add`: write a bundle into a store, as the next version of its model.
- `load`: read a bundle of a store, and verify it.
- `Predictor`: runs a bundle.
- `estimate`: answer rows with their uncertainty.

The service is a command, ``caveat serve``, as are training, calibration and evaluation: ``caveat --help``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from caveat.extras import needing

if TYPE_CHECKING:
    from caveat.models.bundles.bundle import Bundle as Bundle
    from caveat.models.bundles.store import add as add
    from caveat.models.bundles.store import load as load
    from caveat.models.estimates.answer import estimate as estimate
    from caveat.models.predictor import Predictor as Predictor
    from caveat.training.export.export import export as export

__version__ = "0.1.0"

__all__ = ["Bundle", "Predictor", "__version__", "add", "estimate", "export", "load"]

_PLACES = {
    "Bundle": "caveat.models.bundles.bundle",
    "Predictor": "caveat.models.predictor",
    "add": "caveat.models.bundles.store",
    "estimate": "caveat.models.estimates.answer",
    "export": "caveat.training.export.export",
    "load": "caveat.models.bundles.store",
}
"""Where each public name lies: importing Caveat imports none of them until it is used."""


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needing("training"):
        found: object = getattr(import_module(_PLACES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
