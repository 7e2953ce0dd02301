"""Changes: what an update changed, for the log and for the answer to an operator."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from caveat.service.desk.monitoring.log import Level
from caveat.service.desk.versions.catalogue import Catalogue, Failure, Place


class News(NamedTuple):
    """A message for the log."""

    level: Level
    message: str


@dataclass(frozen=True)
class Changes:
    """What an update of the catalogue from its store changed, in one worker or over several.

    Parameters
    ----------
    loaded, dropped
        Versions that were loaded and dropped.
    failing
        Everything that can't be served as the store has it, with the reasons.
    news
        Messages for the log.
    trouble
        Why the update failed as a whole; None if it did not.
    """

    loaded: frozenset[Place] = frozenset()
    dropped: frozenset[Place] = frozenset()
    failing: frozenset[tuple[Place, Failure]] = frozenset()
    news: tuple[News, ...] = ()
    trouble: str | None = None


def between(old: Catalogue | None, new: Catalogue) -> Changes:
    """Compare two catalogues."""
    before = old.places if old else {}
    failed_before = old.failing if old else {}
    loaded = {place for place, predictor in new.places.items() if before.get(place) is not predictor}
    dropped = before.keys() - new.places.keys()
    news = [
        *(News("info", f"{_words(place)} is loaded") for place in sorted(loaded) if old),
        *(
            News("info", f"{_words(place)} is no longer in the store and was dropped")
            for place in sorted(dropped)
        ),
        *(
            News(
                "warning",
                f"{'incomplete bundle' if why.incomplete else 'problem with'} {_words(place)}: {why.reason}",
            )
            for place, why in new.failing.items()
            if _is_news(failed_before.get(place), why)
        ),
    ]
    return Changes(frozenset(loaded), frozenset(dropped), frozenset(new.failing.items()), tuple(news))


def together(changes: Iterable[Changes]) -> Changes:
    """Merge the changes of one update in several workers."""
    all_of = list(changes)
    return Changes(
        frozenset().union(*(each.loaded for each in all_of)),
        frozenset().union(*(each.dropped for each in all_of)),
        frozenset().union(*(each.failing for each in all_of)),
        tuple(dict.fromkeys(each for one in all_of for each in one.news)),
        next((each.trouble for each in all_of if each.trouble), None),
    )


def _is_news(before: Failure | None, now: Failure) -> bool:
    """Tell whether to log a failure; a bundle that is still copying is logged once."""
    return before != now and not (before and before.incomplete and now.incomplete)


def _words(place: Place) -> str:
    name, version = place
    return f"{name} {version}" if version else f"the aliases of {name}"
