"""The models that are loaded, by name and version."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from caveat.models.errors import CaveatError
from caveat.models.predictor import Predictor

Loaded = Mapping[str, Mapping[int, Predictor]]
"""Predictors by name and version."""

Place = tuple[str, int]
"""A version of a model, by name and number; for the aliases of a model the number is 0."""


class Failure(NamedTuple):
    """Why something in the store is not served as it stands there."""

    reason: str
    incomplete: bool = False
    """Whether there is less than a bundle, which may still be on its way."""


class UnknownModelError(CaveatError):
    """A model or version that is not loaded; the message says which are."""


class Catalogue:
    """What is served at a moment; it never changes, another one takes its place.

    Parameters
    ----------
    models
        Predictors by name and version; at least one, and of each name one at least.
    aliases
        Names of versions that are loaded, by the name of their model.
    failing
        What in the store is not served as it stands there.
    default
        Name of the model to ask when a request names none; the only one may be left out.

    Raises
    ------
    UnknownModelError
        If there is no model of the default's name.
    """

    def __init__(
        self,
        models: Loaded,
        aliases: Mapping[str, Mapping[str, int]],
        failing: Mapping[Place, Failure],
        default: str | None = None,
    ) -> None:
        self.models = models
        self.aliases = aliases
        self.failing = failing
        self._versions = {name: sorted(versions) for name, versions in models.items()}
        self.default = default or (next(iter(models)) if len(models) == 1 else None)
        if self.default is not None:
            self.find(self.default)

    @property
    def places(self) -> dict[Place, Predictor]:
        """Everything that is loaded."""
        return {
            (name, version): made for name, models in self.models.items() for version, made in models.items()
        }

    def described(self) -> str:
        """Say which models are loaded, such as ``digits 1, 2 (default) and wine 1``."""
        words = []
        for name in self.models:
            versions = ", ".join(map(str, self.versions(name)))
            words.append(f"{name} {versions}{' (default)' if name == self.default else ''}")
        return " and ".join(words)

    def versions(self, name: str) -> Sequence[int]:
        """List a model's versions, ascending; the last one is asked by default.

        Raises
        ------
        UnknownModelError
            If the model is not loaded.
        """
        if name not in self.models:
            raise UnknownModelError(f"no model {name!r}; there is {_listed(self.models)}")
        return self._versions[name]

    def aliases_of(self, name: str) -> dict[str, int]:
        """List a model's aliases, and the version that each stands for."""
        return dict(self.aliases.get(name, {}))

    def failures_of(self, name: str) -> list[str]:
        """Say why versions of a model are not loaded."""
        return [why.reason for (model, version), why in self.failing.items() if version and model == name]

    def find(self, name: str | None = None, version: int | str | None = None) -> Predictor:
        """Find the model to ask: the default one unless named, its highest version unless given.

        Parameters
        ----------
        version
            A number, or an alias.

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
        if isinstance(version, str):
            aliases = self.aliases_of(name)
            if version not in aliases:
                known = [*map(str, versions), *aliases]
                raise UnknownModelError(f"no alias {version!r} of {name}; there is {_listed(known)}")
            version = aliases[version]
        if version is not None and version not in versions:
            raise UnknownModelError(f"no version {version} of {name}; there is {_listed(map(str, versions))}")
        return self.models[name][versions[-1] if version is None else version]


def _listed(names: Iterable[str]) -> str:
    return " or ".join(names)
