"""The request log: one line for each request."""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

import orjson

from caveat.service.desk.monitoring import log
from caveat.service.desk.monitoring.record import ELSEWHERE, Outcome, Record

_LEVELS: Final[Mapping[Outcome, log.Level]] = {
    "answered": "info",
    "refused": "warning",
    "full": "warning",
    "left": "warning",
    "unready": "warning",
    "late": "error",
    "failed": "error",
}

_POLLED_FOR: Final = ("answered", "unready")
"""Outcomes that whoever polls a route asks about: a probe that is told to wait is no news."""


def lines(records: Iterable[Record], offset: float) -> list[str]:
    """Make the lines of the records that are logged.

    Parameters
    ----------
    offset
        Seconds to add to a record's times to get seconds since 1970.
    """
    write = _text if log.on_terminal() else _object
    return [
        write(record, (record.ended or record.began) + offset)
        for record in records
        if not (record.polled and record.outcome in _POLLED_FOR)
    ]


def _text(record: Record, ended: float) -> str:
    return log.text(ended, level(record.outcome), _sentence(record))


def level(outcome: Outcome) -> log.Level:
    """Give the level of the line of a request that ended so."""
    return _LEVELS[outcome]


def _object(record: Record, ended: float) -> str:
    """Write the line as JSON.

    Formatting by hand takes half as long as dumping a dict; only the detail can hold characters to escape.
    """
    kind = _kind(record.outcome, record.code, record.method, record.route, record.model, record.version)
    if record.outcome == "answered" and record.seed is not None:  # most requests; one format string is faster
        return (
            f'{{"time":"{log.clock(ended)}",{kind},"id":"{record.id}","rows":{record.rows},'
            f'"passes":{record.passes},"seed":{record.seed},'
            f'"queue_ms":{1e3 * (record.taken_up - record.submitted):.3f},'
            f'"compute_ms":{1e3 * (record.done - record.taken_up):.3f},'
            f'"total_ms":{1e3 * (record.ended - record.began):.3f}}}\n'
        )
    text = f'{{"time":"{log.clock(ended)}",{kind},"id":"{record.id}"'
    if record.rows:
        text += f',"rows":{record.rows}'
    if record.seed is not None:
        text += f',"passes":{record.passes},"seed":{record.seed}'
    if record.queue is not None:
        text += f',"queue_ms":{1e3 * record.queue:.3f}'
    if record.compute is not None:
        text += f',"compute_ms":{1e3 * record.compute:.3f}'
    if record.total is not None:
        text += f',"total_ms":{1e3 * record.total:.3f}'
    if record.detail is not None:
        text += f',"detail":{json.dumps(record.detail)}'
    return f"{text}}}\n"


@lru_cache(1024)
def _kind(outcome: Outcome, code: int, method: str, route: str, model: str, version: int | str) -> str:
    """Write the members that many requests have in common, which the cache keeps."""
    facts = {"level": level(outcome), "event": "request", "code": code, "method": method, "route": route}
    if model is not ELSEWHERE:
        facts |= {"model": model, "version": version}
    return orjson.dumps(facts).decode()[1:-1]


def _sentence(record: Record) -> str:
    """Write the line for a person.

    >>> _sentence(Record("a1", "GET", 1.0, "/models", code=200, ended=1.0012))
    '200 GET /models in 1.2 ms; id a1'
    """
    words = [f"{record.code} {record.method} {record.route}"]
    if record.model is not ELSEWHERE:
        words.append(f"{record.model} {record.version}")
    if record.rows:
        words.append(f"{record.rows} rows")
    if record.seed is not None:
        words.append(f"{record.passes} passes seed {record.seed}")
    if record.total is not None:
        words.append(f"in {1e3 * record.total:.1f} ms")
    if record.queue is not None and record.compute is not None:
        words.append(f"(queue {1e3 * record.queue:.1f}, compute {1e3 * record.compute:.1f})")
    return " ".join(words) + f": {record.detail}" * bool(record.detail) + f"; id {record.id}"
