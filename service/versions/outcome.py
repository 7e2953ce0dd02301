"""What has changed in what is served, to tell who asked and who reads the log."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from caveat.service.monitoring.logs import Level
from caveat.service.versions.catalogue import Catalogue, Failure, Place


class News(NamedTuple):
    """What the log is to tell."""

    level: Level
    message: str


@dataclass(frozen=True)
class Outcome:
    """What has come of bringing a catalogue up to its store, in one worker or in several.

    Parameters
    ----------
    loaded, dropped
        Versions.
    failing
        All that is not served as it stands in the store.
    news
        For the log.
    trouble
        Why nothing could be done.
    """

    loaded: frozenset[Place] = frozenset()
    dropped: frozenset[Place] = frozenset()
    failing: frozenset[tuple[Place, Failure]] = frozenset()
    news: tuple[News, ...] = ()
    trouble: str | None = None


def between(old: Catalogue | None, new: Catalogue) -> Outcome:
    """Compare two catalogues."""
    before = old.places if old else {}
    failed_before = old.failing if old else {}
    loaded = {place for place, predictor in new.places.items() if before.get(place) is not predictor}
    dropped = before.keys() - new.places.keys()
    news = [
        *(News("info", f"{_words(place)} is loaded") for place in sorted(loaded) if old),
        *(
            News("info", f"{_words(place)} is no longer in the store, and dropped")
            for place in sorted(dropped)
        ),
        *(
            News(
                "warning",
                f"{_words(place)} is not {'complete' if why.incomplete else 'as it should be'}: {why.reason}",
            )
            for place, why in new.failing.items()
            if _is_news(failed_before.get(place), why)
        ),
    ]
    return Outcome(frozenset(loaded), frozenset(dropped), frozenset(new.failing.items()), tuple(news))


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """Make one of what has come of the same thing in several workers."""
    all_of = list(outcomes)
    return Outcome(
        frozenset().union(*(each.loaded for each in all_of)),
        frozenset().union(*(each.dropped for each in all_of)),
        frozenset().union(*(each.failing for each in all_of)),
        tuple(dict.fromkeys(each for outcome in all_of for each in outcome.news)),
        next((each.trouble for each in all_of if each.trouble), None),
    )


def _is_news(before: Failure | None, now: Failure) -> bool:
    """Tell whether to report a failure; a copy that grows is not news each time."""
    return before != now and not (before and before.incomplete and now.incomplete)


def _words(place: Place) -> str:
    name, version = place
    return f"{name} {version}" if version else f"the aliases of {name}"
