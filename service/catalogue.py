"""The models that are loaded, by name and version."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from models import store
from models.bundle import MANIFEST, Bundle
from models.errors import CaveatError
from models.predictor import Predictor


class UnknownModelError(CaveatError):
    """A model or version that is not loaded; the message says which are."""


class Catalogue:
    """Every bundle of a store, loaded.

    Parameters
    ----------
    models
        Predictors by name and version; at least one.
    default
        Name of the model to ask when a request names none.

    Raises
    ------
    UnknownModelError
        If there is no model of the default's name.
    """

    def __init__(self, models: Mapping[str, Mapping[int, Predictor]], default: str | None = None) -> None:
        self.models = models
        self.default = default or (next(iter(models)) if len(models) == 1 else None)
        if self.default is not None:
            self.find(self.default)

    @classmethod
    def load(
        cls, folder: Path, default: str | None = None, make: Callable[[Bundle], Predictor] = Predictor
    ) -> "Catalogue":
        """Load every bundle of a store.

        Raises
        ------
        BundleError
            If the store is not a folder, or one of its bundles is not sound.
        CaveatError
            If the store is empty, or does not hold the default model.
        """
        models: dict[str, dict[int, Predictor]] = {}
        for path in store.bundle_folders(folder):
            predictor = make(store.load(path))
            models.setdefault(predictor.manifest.name, {})[predictor.manifest.version] = predictor
        if not models:
            raise CaveatError(
                f"{folder}: no bundle here; a store holds <name>/<version>/manifest.json{_hint(folder)}"
            )
        return cls(models, default)

    def described(self) -> str:
        """Say which models are loaded, such as ``digits 1, 2 (default) and wine 1``."""
        words = []
        for name in self.models:
            versions = ", ".join(map(str, self.versions(name)))
            words.append(f"{name} {versions}{' (default)' if name == self.default else ''}")
        return " and ".join(words)

    def versions(self, name: str) -> list[int]:
        """List a model's versions, ascending; the last one is asked by default.

        Raises
        ------
        UnknownModelError
            If the model is not loaded.
        """
        if name not in self.models:
            raise UnknownModelError(f"no model {name!r}; there is {_listed(self.models)}")
        return sorted(self.models[name])

    def find(self, name: str | None = None, version: int | None = None) -> Predictor:
        """Find the model to ask: the default one unless named, its highest version unless given.

        Raises
        ------
        UnknownModelError
            If there is no such model or version, or no default.
        """
        name = name or self.default
        if name is None:
            raise UnknownModelError(
                "there is no default model: start the service with --default-model, or ask "
                + _listed(f"/models/{name}/predict" for name in self.models)
            )
        versions = self.versions(name)
        if version is not None and version not in versions:
            raise UnknownModelError(f"no version {version} of {name}; there is {_listed(map(str, versions))}")
        return self.models[name][versions[-1] if version is None else version]


def _hint(folder: Path) -> str:
    """Name the store, if the folder of a model or of a bundle was taken for one."""
    folder = folder.resolve()
    if store.versions(folder):
        return f". Did you mean {folder.parent}?"
    return f". Did you mean {folder.parent.parent}?" if (folder / MANIFEST).exists() else ""


def _listed(names: Iterable[str]) -> str:
    return " or ".join(names)
