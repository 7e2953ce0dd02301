"""The catalogue: the loaded models, by name and version."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from caveat.models.bundles.words import shortened
from caveat.models.errors import CaveatError
from caveat.models.predictor import Predictor

Loaded = Mapping[str, Mapping[int, Predictor]]
"""Predictors by name and version."""

Place = tuple[str, int]
"""A version of a model as its name and number; number 0 stands for the model's aliases."""


class Failure(NamedTuple):
    """Why a version, or a model's aliases, can't be served as the store has it."""

    reason: str
    incomplete: bool = False
    """Whether files of the bundle are missing, so that it may still be copying."""


class UnknownModelError(CaveatError):
    """A model or version that is not loaded; the message lists those that are."""


class Catalogue:
    """The models that are served. A catalogue never changes; a new one replaces it.

    Parameters
    ----------
    models
        Predictors by name and version; at least one model, with at least one version each.
    aliases
        For each model's name, loaded versions by their aliases.
    failing
        Why versions and aliases can't be served as the store has them.
    default
        Name of the model for requests that name none; None takes the only model, if there is one only.

    Raises
    ------
    UnknownModelError
        If no model has the default's name.
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
        """All predictors, by name and version."""
        return {
            (name, version): made for name, models in self.models.items() for version, made in models.items()
        }

    def described(self) -> str:
        """List the loaded models in words, such as ``digits 1, 2 (default) and wine 1``."""
        words = []
        for name in self.models:
            versions = ", ".join(map(str, self.versions(name)))
            words.append(f"{name} {versions}{' (default)' if name == self.default else ''}")
        return " and ".join(words)

    def versions(self, name: str) -> Sequence[int]:
        """List a model's versions, ascending; the last is the default.

        Raises
        ------
        UnknownModelError
            If the model is not loaded.
        """
        if name not in self.models:
            raise UnknownModelError(f"no model {shortened(name)!r}; there is {_listed(self.models)}")
        return self._versions[name]

    def aliases_of(self, name: str) -> dict[str, int]:
        """Give a model's versions by their aliases."""
        return dict(self.aliases.get(name, {}))

    def failures_of(self, name: str) -> list[str]:
        """List the reasons why versions of a model are not loaded."""
        return [why.reason for (model, version), why in self.failing.items() if version and model == name]

    def find(self, name: str | None = None, version: int | str | None = None) -> Predictor:
        """Find a predictor.

        Parameters
        ----------
        name
            Name of the model; None finds the default model.
        version
            A number or an alias; None finds the highest version.

        Raises
        ------
        UnknownModelError
            If there is no such model or version, or no default.
        """
        name = name or self.default
        if name is None:
            raise UnknownModelError(
                "there is no default model: start the service with --default-model, or name one: "
                + _listed(self.models)
            )
        versions = self.versions(name)
        if isinstance(version, str):
            aliases = self.aliases_of(name)
            if version not in aliases:
                known = [*map(str, versions), *aliases]
                raise UnknownModelError(
                    f"no alias {shortened(version)!r} of {name}; there is {_listed(known)}"
                )
            version = aliases[version]
        if version is not None and version not in versions:
            raise UnknownModelError(f"no version {version} of {name}; there is {_listed(map(str, versions))}")
        return self.models[name][versions[-1] if version is None else version]


def _listed(names: Iterable[str]) -> str:
    """List the first names, and say how many more there are.

    >>> _listed("abc"), _listed(map(str, range(12)))
    ('a or b or c', '0 or 1 or 2 or 3 or 4 or 5 or 6 or 7 or 8 or 9 or one of 2 more')
    """
    listed = list(names)
    more = [f"one of {len(listed) - 10} more"] if len(listed) > 10 else []
    return " or ".join([*listed[:10], *more])
