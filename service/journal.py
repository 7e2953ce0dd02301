"""The line of the log that tells of a request."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from service import logs
from service.record import ELSEWHERE, Record

_UNTOLD: Final = {"/health/live", "/health/ready", "/models/{name}/ready", "/metrics"}
"""Routes that machines ask again and again; they are told of where they fail."""


def lines(records: Iterable[Record], offset: float) -> Iterator[bytes]:
    """Make a line for each.

    Parameters
    ----------
    offset
        Seconds to add to the records' times, for those since 1970.
    """
    on_terminal = logs.on_terminal()
    for record in records:
        if record.code < 400 and record.route in _UNTOLD:
            continue
        ended = record.began + (record.total or 0.0) + offset
        level: logs.Level = "info" if record.code < 400 else "warning" if record.code < 500 else "error"
        if on_terminal:
            yield logs.text(ended, level, _sentence(record))
        else:
            yield logs.as_json(
                {"time": logs.clock(ended), "level": level, "event": "request"} | _facts(record)
            )


def _facts(record: Record) -> dict[str, Any]:
    """Give what is known of a request."""
    facts: dict[str, Any] = {
        "id": record.id,
        "method": record.method,
        "route": record.route,
        "code": record.code,
    }
    if record.model is not ELSEWHERE:
        facts["model"] = record.model
        facts["version"] = record.version
    if record.rows:
        facts["rows"] = record.rows
    if record.asked:
        facts["passes"] = record.passes
        facts["seed"] = record.asked.seed
    if record.queue is not None:
        facts["queue_ms"] = _milliseconds(record.queue)
    if record.compute is not None:
        facts["compute_ms"] = _milliseconds(record.compute)
    if record.total is not None:
        facts["total_ms"] = _milliseconds(record.total)
    if record.detail is not None:
        facts["detail"] = record.detail
    return facts


def _milliseconds(seconds: float) -> float:
    """Convert, to three places; to round takes three times as long."""
    return int(1e6 * seconds) / 1000


def _sentence(record: Record) -> str:
    """Tell the same to a person.

    >>> _sentence(Record("a1", "GET", 0.0, route="/models", total=0.0012, code=200))
    '200 GET /models in 1.2 ms; id a1'
    """
    words = [f"{record.code} {record.method} {record.route}"]
    if record.model is not ELSEWHERE:
        words.append(f"{record.model} {record.version}")
    if record.rows:
        words.append(f"{record.rows} rows")
    if record.asked:
        words.append(f"{record.passes} passes seed {record.asked.seed}")
    if record.total is not None:
        words.append(f"in {1e3 * record.total:.1f} ms")
    if record.queue is not None and record.compute is not None:
        words.append(f"(queue {1e3 * record.queue:.1f}, compute {1e3 * record.compute:.1f})")
    return " ".join(words) + f": {record.detail}" * bool(record.detail) + f"; id {record.id}"
