"""The next catalogue, after a change of the store."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from caveat.models.bundles import aliases
from caveat.models.bundles.aliases import AliasError
from caveat.models.predictor import Predictor
from caveat.service.desk.versions.attempt import Attempt
from caveat.service.desk.versions.catalogue import Catalogue, Failure, Place
from caveat.service.desk.versions.snapshot import Snapshot

Pointers = Mapping[str, Mapping[str, int] | AliasError]
"""The aliases of each model of a store, or the error of reading them."""


def read_pointers(folder: Path, snapshot: Snapshot) -> Pointers:
    """Read the aliases of every model."""
    return {name: _read(folder / name) for name in snapshot.aliases}


def next_catalogue(
    old: Catalogue | None,
    snapshot: Snapshot,
    pointers: Pointers,
    attempts: Sequence[Attempt],
    default: str | None,
) -> Catalogue:
    """Make the next catalogue: add the loaded versions, and drop those that are gone from the store.

    Some gone versions stay, because dropping them would fail requests: a version with an alias, the last
    version of the default model, and the last version of all.

    Parameters
    ----------
    old
        The present catalogue; None at the start.
    snapshot
        Snapshot of the store.
    pointers
        The store's aliases.
    attempts
        Results of loading new and changed versions.
    default
        Name of the model for requests that name none; None if there is no such model.

    Raises
    ------
    UnknownModelError
        If no model has the default's name.
    """
    models: dict[str, dict[int, Predictor]] = {}
    for name, versions in (old.models if old else {}).items():
        models[name] = dict(versions)
    failing: dict[Place, Failure] = {
        place: why for place, why in (old.failing if old else {}).items() if place in snapshot.versions
    }
    for each in attempts:
        place = (each.name, each.version)
        failing.pop(place, None)
        if isinstance(each.result, Failure):
            failing[place] = each.result
        else:
            models.setdefault(each.name, {})[each.version] = each.result
    pointing: dict[str, dict[str, int]] = {}
    for name, loaded in models.items():
        known = old.aliases_of(name) if old else {}
        pointing[name], why = _pointed(pointers.get(name, {}), loaded, known)
        if why:
            failing[name, 0] = Failure(why)
    for name, version in _gone(models, snapshot):
        if version in pointing[name].values():
            failing[name, version] = Failure("it is no longer in the store, but an alias stands for it")
        elif len(models[name]) == 1 and (name == default or sum(map(bool, models.values())) == 1):
            failing[name, version] = Failure("it is no longer in the store, but is the last version to serve")
        else:
            del models[name][version]
    kept = {name: models[name] for name in sorted(models) if models[name]}
    return Catalogue(kept, {name: pointing[name] for name in kept}, failing, default)


def _read(model: Path) -> Mapping[str, int] | AliasError:
    try:
        return aliases.read(model)
    except AliasError as error:
        return error


def _pointed(
    read: Mapping[str, int] | AliasError, loaded: Mapping[int, Predictor], known: Mapping[str, int]
) -> tuple[dict[str, int], str | None]:
    """Give the next aliases, and what is wrong with those that were read; a bad alias keeps its version."""
    if isinstance(read, AliasError):
        return dict(known), str(read)
    wrong = [f"{alias} stands for {version}" for alias, version in read.items() if version not in loaded]
    pointed = {alias: version if version in loaded else known.get(alias) for alias, version in read.items()}
    found = {alias: version for alias, version in pointed.items() if version is not None}
    return found, f"{' and '.join(wrong)}, which is not loaded" if wrong else None


def _gone(models: Mapping[str, Mapping[int, Predictor]], snapshot: Snapshot) -> Iterator[tuple[str, int]]:
    """Find versions that are gone from the store, ascending; ``models`` may change meanwhile."""
    places = [(name, version) for name in models for version in sorted(models[name])]
    yield from (place for place in places if place not in snapshot.versions)
